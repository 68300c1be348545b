export declare const consoleFolder: string
export declare const stampName: string
export declare function consoleStamp(): string
export declare function isConsoleCurrent(): boolean
