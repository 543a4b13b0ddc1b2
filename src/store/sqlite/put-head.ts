import { crc32 } from "node:zlib";
import { BATCH_HEAD_BYTES, BatchOp } from "../../core/batch.ts";

/** The head of a put as it stood in its batch, with which the checksum of a record begins. */
export class PutHead {
  private readonly bytes = Buffer.alloc(BATCH_HEAD_BYTES);

  /** Of a put of these lengths; the checksum of the record goes on from it with the name, then the value. */
  checksum(table: number, key: number, nameBytes: number, valueBytes: number): number {
    const { bytes } = this;
    bytes[0] = BatchOp.Put;
    bytes[1] = table;
    bytes.writeUInt16LE(nameBytes, 2);
    bytes.writeUInt32LE(valueBytes, 4);
    bytes.writeDoubleLE(key, 8);
    return crc32(bytes);
  }
}
