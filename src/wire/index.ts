export { decode, encode, type Plain } from './cbor.ts'
export { canonicalJson, parseJsonText } from './json.ts'
export {
  bool,
  bytesOf,
  bytesUpTo,
  type Codec,
  codec,
  type Decoded,
  did,
  instant,
  intWithin,
  listOf,
  literal,
  map,
  nullable,
  oneOf,
  row,
  rowWithTail,
  type Shape,
  textLike,
  textUpTo,
  uintUpTo,
} from './schema.ts'
