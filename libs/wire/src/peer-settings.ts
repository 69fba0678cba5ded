import { ConnectionError, ErrorCode, FRAME_PAYLOAD_BYTES, Setting, WINDOW_DEFAULT, WINDOW_MAX } from './frames.js';

/** What the peer asks of us by SETTINGS, with the defaults of RFC 9113 section 6.5.2. */
export class PeerSettings {
  received = false;
  headerTableBytes = 4096;
  streamsMax = 0xffff_ffff;
  initialWindow = WINDOW_DEFAULT;
  frameBytesMax = FRAME_PAYLOAD_BYTES;
  headerListBytesMax = 0xffff_ffff;

  /** Applies the content of one SETTINGS frame and returns by how much the initial window moved. */
  apply(bytes: Buffer, start: number, end: number): number {
    if ((end - start) % 6 !== 0) throw new ConnectionError(ErrorCode.FRAME_SIZE_ERROR, 'SETTINGS of a wrong size');
    this.received = true;
    const windowBefore = this.initialWindow;
    for (let at = start; at < end; at += 6) this.applyOne(bytes.readUInt16BE(at), bytes.readUInt32BE(at + 2));
    return this.initialWindow - windowBefore;
  }

  private applyOne(setting: number, value: number): void {
    switch (setting) {
      case Setting.HEADER_TABLE_SIZE:
        this.headerTableBytes = value;
        return;
      case Setting.ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `ENABLE_PUSH ${value}`);
        return;
      case Setting.MAX_CONCURRENT_STREAMS:
        this.streamsMax = value;
        return;
      case Setting.INITIAL_WINDOW_SIZE:
        if (value > WINDOW_MAX) throw new ConnectionError(ErrorCode.FLOW_CONTROL_ERROR, `INITIAL_WINDOW_SIZE ${value}`);
        this.initialWindow = value;
        return;
      case Setting.MAX_FRAME_SIZE:
        if (value < FRAME_PAYLOAD_BYTES || value > 0xff_ffff)
          throw new ConnectionError(ErrorCode.PROTOCOL_ERROR, `MAX_FRAME_SIZE ${value}`);
        this.frameBytesMax = value;
        return;
      case Setting.MAX_HEADER_LIST_SIZE:
        this.headerListBytesMax = value;
        return;
      default:
      // Unknown settings must be ignored.
    }
  }
}
