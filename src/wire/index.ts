export { decode, encode, type Plain } from './cbor.ts'
export { anything, bool, bytesOf, bytesUpTo, type Codec, codec, type Decoded, did, instant, intWithin, listOf, literal, map, nullable, oneOf, row, type Shape, textUpTo, uintUpTo } from './schema.ts'
