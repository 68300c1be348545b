/** A column of a table: what it sorts and searches by. Cells are drawn by the snippet of the page, or as this text. */
export interface Column<T> {
  readonly key: string
  readonly title: string
  /** Sorted by this; also the cell's text, and what the filter looks in. */
  readonly value: (row: T) => string | number | undefined
  readonly isNumber?: boolean
  /** Left out on narrow screens. */
  readonly isExtra?: boolean
}

export interface Order {
  readonly key: string
  readonly isDown: boolean
}

/** Rows that hold every word of `filter` in some column, in the order asked for; equal ones stay as they came. */
export function arrange<T>(rows: readonly T[], columns: readonly Column<T>[], filter: string, order: Order | undefined): readonly T[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  const textOf = (row: T): string =>
    columns
      .map(({ value }) => String(value(row) ?? ''))
      .join('\n')
      .toLowerCase()
  const found = words.length === 0 ? rows : rows.filter((row) => words.every((word) => textOf(row).includes(word)))
  const column = columns.find(({ key }) => key === order?.key)
  if (column === undefined || order === undefined) return found
  const sign = order.isDown ? -1 : 1
  return found.toSorted((a, b) => sign * compareValues(column.value(a), column.value(b)))
}

function compareValues(a: string | number | undefined, b: string | number | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? 1 : -1
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true, sensitivity: 'base' })
}
