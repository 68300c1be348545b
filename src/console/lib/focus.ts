/** Puts the keyboard where somebody goes on from: `<input {@attach focus}>`. */
export const focus = (element: HTMLElement): void => element.focus()
