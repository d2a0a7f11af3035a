// The server's side of one SPDY/3.1 connection (protocol draft 3.1). The clients of Kubernetes
// (moby/spdystream) differ from the draft: their streams carry no :method or :path, and they know no flow
// control at all. So windows count only for a client that has shown that it uses them; for the others TCP
// holds both sides back.
//
// Everything from the client is hostile: what it makes the session keep is bounded, whatever it sends.

import type { Duplex } from "node:stream";
import {
  type ControlFrame,
  type DataPiece,
  dataHeader,
  FLAG_FIN,
  FLAG_UNIDIRECTIONAL,
  FRAME,
  FrameParser,
  GOAWAY,
  goAway,
  INITIAL_WINDOW_BYTES,
  MAX_31_BITS,
  ping,
  RESET,
  rstStream,
  SETTING_INITIAL_WINDOW_SIZE,
  SpdyError,
  synReply,
  windowUpdate,
  wordAt,
} from "./frames.ts";
import { emptyHeaderBlock, HeaderInflater, type Headers } from "./header-block.ts";
import { type SessionLink, SpdyStream } from "./stream.ts";

export const MAX_STREAMS = 2048;
/** What may wait for the reader of one stream, and of all together, before the client is held. */
export const STREAM_HOLD_BYTES = 256 * 1024;
export const SESSION_HOLD_BYTES = 4 * 1024 * 1024;
/** Input that waits behind a frame in work, and answers that the client does not read, before it is held. */
const BACKLOG_BYTES = 256 * 1024;
const MAX_DATA_BYTES = 64 * 1024;
/** Up to here a copy is cheaper than a piece of its own in the transport. */
const COPY_BYTES = 4 * 1024;
/** How often a client that is not read is written to: only so is it noticed that it went away. */
const PROBE_MS = 5_000;
/** How long a client may take to close after everything was sent to it. */
const FINISH_MS = 5_000;
const LEAVE_MS = 1_000;

export interface SessionEvents {
  /** A new stream: accept() or refuse() it at once. */
  onStream(stream: SpdyStream): void;
  /** Once: the connection is gone. `cause` says why when it was not in order. */
  onClosed(cause: Error | null): void;
}

export class SpdySession implements SessionLink {
  readonly #transport: Duplex;
  readonly #events: SessionEvents;
  readonly #parser = new FrameParser();
  readonly #inflater = new HeaderInflater();
  readonly #streams = new Map<number, SpdyStream>();
  /** Streams that have something to send and no room, the one that waits longest first. */
  readonly #waiting = new Set<SpdyStream>();
  readonly #held = new Set<SpdyStream>();
  #unread = 0;
  #inflating = false;
  #over = false;
  #finishing = false;
  #lastStreamId = 0;
  /** One answer is enough for all pieces of a frame. */
  #lastInvalid = 0;
  #hasReplied = false;
  #clientHasWindows = false;
  #initialWindow = INITIAL_WINDOW_BYTES;
  #sessionWindow = INITIAL_WINDOW_BYTES;
  #uncredited = 0;
  #nextPing = 2;
  #probe: NodeJS.Timeout | undefined;
  #guard: NodeJS.Timeout | undefined;

  /** `transport` is the upgraded connection, nothing read off it yet but `head`. */
  constructor(transport: Duplex, head: Buffer, events: SessionEvents) {
    this.#transport = transport;
    this.#events = events;
    transport.on("data", (chunk: Buffer) => this.#take(chunk));
    transport.on("drain", () => this.#drained());
    transport.on("end", () => this.#close(null));
    transport.on("error", (error) => this.#close(error));
    transport.on("close", () => this.#close(null));
    if (head.length > 0) this.#take(head);
  }

  get streamCount(): number {
    return this.#streams.size;
  }

  /** Tells the client that no stream is served any more, lets it read what was sent, then closes. */
  finish(status: number = GOAWAY.OK): void {
    if (this.#over || this.#finishing) return;
    this.#finishing = true;
    this.#send(goAway(this.#lastStreamId, status));
    this.#transport.end();
    this.#guard = setTimeout(() => this.#transport.destroy(), FINISH_MS);
    // What still comes is read and dropped: closing with unread input would reset the connection, and the
    // client would lose what it has not read yet.
    for (const stream of [...this.#streams.values()]) stream.destroy();
    this.#review();
  }

  /** Drops the connection. */
  destroy(cause: Error | null = null): void {
    this.#close(cause);
  }

  // What streams ask for.

  room(stream: SpdyStream): number {
    const isBlocked = this.#over || this.#transport.writableNeedDrain;
    const window = this.#clientHasWindows ? Math.min(stream.sendWindow, this.#sessionWindow) : MAX_DATA_BYTES;
    const room = isBlocked ? 0 : Math.min(window, MAX_DATA_BYTES);
    if (room <= 0) this.#waiting.add(stream);
    return room;
  }

  sendData(stream: SpdyStream, bytes: Buffer): void {
    stream.sendWindow -= bytes.length;
    this.#sessionWindow -= bytes.length;
    const header = dataHeader(stream.id, bytes.length);
    if (bytes.length <= COPY_BYTES) {
      this.#send(Buffer.concat([header, bytes]));
      return;
    }
    this.#transport.cork();
    this.#send(header);
    this.#send(bytes);
    this.#transport.uncork();
  }

  sendFin(stream: SpdyStream): void {
    this.#send(dataHeader(stream.id, 0, FLAG_FIN));
  }

  sendReply(stream: SpdyStream): void {
    this.#send(synReply(stream.id, emptyHeaderBlock(!this.#hasReplied)));
    this.#hasReplied = true;
  }

  sendReset(stream: SpdyStream, status: number): void {
    this.#send(rstStream(stream.id, status));
  }

  sendCredit(stream: SpdyStream, bytes: number): void {
    this.#send(windowUpdate(stream.id, bytes));
  }

  unreadChanged(stream: SpdyStream, change: number): void {
    this.#unread += change;
    const unread = stream.destroyed ? 0 : stream.unread;
    if (unread > STREAM_HOLD_BYTES) this.#held.add(stream);
    else this.#held.delete(stream);
    // Not from within the loop that just delivered to it.
    if (change < 0) queueMicrotask(() => this.#pump());
  }

  forget(stream: SpdyStream): void {
    this.#streams.delete(stream.id);
    this.#waiting.delete(stream);
    this.#held.delete(stream);
  }

  // Input.

  #take(chunk: Buffer): void {
    if (this.#over || this.#finishing) return;
    this.#parser.push(chunk);
    this.#pump();
  }

  get #isHeld(): boolean {
    return (
      this.#held.size > 0 ||
      this.#unread > SESSION_HOLD_BYTES ||
      this.#transport.writableLength > BACKLOG_BYTES
    );
  }

  #pump(): void {
    if (this.#over || this.#finishing) return;
    try {
      while (!this.#inflating && !this.#over && !this.#finishing && !this.#isHeld) {
        const frame = this.#parser.next();
        if (frame === null) break;
        if (frame.kind === "data") this.#takeData(frame);
        else this.#takeControl(frame);
      }
    } catch (error) {
      this.#fail(error as Error);
    }
    this.#review();
  }

  /** Reads on, or leaves it to TCP to hold the client. */
  #review(): void {
    if (this.#over) return;
    const pause = !this.#finishing && (this.#isHeld || this.#parser.buffered > BACKLOG_BYTES);
    if (!pause) {
      clearInterval(this.#probe);
      this.#probe = undefined;
      if (this.#transport.isPaused()) this.#transport.resume();
    } else if (this.#probe === undefined) {
      this.#transport.pause();
      this.#probe = setInterval(() => this.#sendProbe(), PROBE_MS);
    }
  }

  #sendProbe(): void {
    if (this.#transport.writableNeedDrain) return;
    this.#send(ping(this.#nextPing));
    this.#nextPing = this.#nextPing >= MAX_31_BITS - 1 ? 2 : this.#nextPing + 2;
  }

  #takeData({ streamId, bytes, fin }: DataPiece): void {
    // The session's window is given back at once: what streams keep is bounded stream by stream.
    this.#uncredited += bytes.length;
    if (this.#uncredited >= INITIAL_WINDOW_BYTES / 2) {
      this.#send(windowUpdate(0, this.#uncredited));
      this.#uncredited = 0;
    }
    const stream = this.#streams.get(streamId);
    if (stream === undefined) {
      // One that is over may have been written to before the client knew.
      if (streamId > this.#lastStreamId && streamId !== this.#lastInvalid) {
        this.#lastInvalid = streamId;
        this.#send(rstStream(streamId, RESET.INVALID_STREAM));
      }
      return;
    }
    if (bytes.length > 0) stream.receive(bytes);
    if (fin) stream.receiveEnd();
  }

  #takeControl(frame: ControlFrame): void {
    switch (frame.type) {
      case FRAME.SYN_STREAM:
        this.#takeSynStream(frame);
        break;
      case FRAME.HEADERS:
        this.#takeHeaders(frame);
        break;
      case FRAME.RST_STREAM:
        this.#streams.get(wordAt(frame, 0) & MAX_31_BITS)?.receiveReset();
        break;
      case FRAME.SETTINGS:
        this.#takeSettings(frame);
        break;
      case FRAME.PING: {
        const id = wordAt(frame, 0);
        // Even ones are answers to ours.
        if (id % 2 === 1) this.#send(ping(id));
        break;
      }
      case FRAME.WINDOW_UPDATE:
        this.#takeWindowUpdate(frame);
        break;
      case FRAME.GOAWAY:
        // The streams that are there go on; the client opens no others.
        break;
      default:
        throw new SpdyError(`a frame of type ${frame.type} from a client`);
    }
  }

  #takeSynStream(frame: ControlFrame): void {
    const id = wordAt(frame, 0) & MAX_31_BITS;
    if (frame.payload.length < 10) throw new SpdyError("a SYN_STREAM without a header block");
    if (id % 2 === 0 || id <= this.#lastStreamId) {
      throw new SpdyError(`stream ${id} after stream ${this.#lastStreamId}`);
    }
    this.#lastStreamId = id;
    this.#inflate(frame.payload.subarray(10), (headers) => this.#open(id, headers, frame.flags));
  }

  #open(id: number, headers: Headers, flags: number): void {
    const stream = new SpdyStream(this, id, headers, this.#initialWindow);
    this.#streams.set(id, stream);
    // Whoever uses it is told of its end by "close": a reset is no failure of the daemon.
    stream.on("error", () => {});
    const isRefused = this.#streams.size > MAX_STREAMS || (flags & FLAG_UNIDIRECTIONAL) !== 0;
    if (isRefused) stream.refuse();
    else this.#events.onStream(stream);
    if ((flags & FLAG_FIN) !== 0) stream.receiveEnd();
  }

  /** Nobody looks at them, but the blocks behind could not be inflated without them. */
  #takeHeaders(frame: ControlFrame): void {
    const id = wordAt(frame, 0) & MAX_31_BITS;
    this.#inflate(frame.payload.subarray(4), () => {
      if ((frame.flags & FLAG_FIN) !== 0) this.#streams.get(id)?.receiveEnd();
    });
  }

  /** The frames behind wait: blocks are inflated in their order. */
  #inflate(block: Buffer, then: (headers: Headers) => void): void {
    this.#inflating = true;
    this.#inflater.inflate(block).then(
      (headers) => {
        this.#inflating = false;
        if (this.#over || this.#finishing) return;
        then(headers);
        this.#pump();
      },
      (error: Error) => this.#fail(error),
    );
  }

  #takeSettings(frame: ControlFrame): void {
    const count = wordAt(frame, 0);
    if (frame.payload.length !== 4 + count * 8) throw new SpdyError(`a SETTINGS frame of ${count} settings`);
    for (let at = 4; at < frame.payload.length; at += 8) {
      if ((wordAt(frame, at) & 0xff_ffff) !== SETTING_INITIAL_WINDOW_SIZE) continue;
      const size = wordAt(frame, at + 4);
      if (size > MAX_31_BITS) throw new SpdyError(`an initial window of ${size} bytes`);
      this.#clientHasWindows = true;
      for (const stream of this.#streams.values()) stream.sendWindow += size - this.#initialWindow;
      this.#initialWindow = size;
    }
    this.#flushWaiting();
  }

  #takeWindowUpdate(frame: ControlFrame): void {
    const id = wordAt(frame, 0) & MAX_31_BITS;
    const bytes = wordAt(frame, 4) & MAX_31_BITS;
    this.#clientHasWindows = true;
    if (id === 0) {
      this.#sessionWindow += bytes;
      if (this.#sessionWindow > MAX_31_BITS) throw new SpdyError("a session window above 2^31 - 1");
    } else {
      const stream = this.#streams.get(id);
      if (stream === undefined) return;
      stream.sendWindow += bytes;
      if (stream.sendWindow > MAX_31_BITS) {
        this.#send(rstStream(id, RESET.FLOW_CONTROL_ERROR));
        stream.receiveReset();
      }
    }
    this.#flushWaiting();
  }

  // Output.

  #send(bytes: Buffer): void {
    if (!this.#over && this.#transport.writable) this.#transport.write(bytes);
  }

  #drained(): void {
    this.#flushWaiting();
    this.#pump();
  }

  #flushWaiting(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const stream of waiting) stream.flush();
  }

  // The end.

  #fail(error: Error): void {
    if (this.#over) return;
    this.#send(goAway(this.#lastStreamId, GOAWAY.PROTOCOL_ERROR));
    this.#close(error);
  }

  #close(cause: Error | null): void {
    if (this.#over) return;
    this.#over = true;
    clearInterval(this.#probe);
    clearTimeout(this.#guard);
    this.#inflater.close();
    this.#leave();
    for (const stream of [...this.#streams.values()]) stream.receiveReset();
    this.#events.onClosed(cause);
  }

  /** What was sent last may still leave, for a moment; what comes is dropped. */
  #leave(): void {
    const transport = this.#transport;
    if (transport.destroyed) return;
    transport.end();
    transport.resume();
    const guard = setTimeout(() => transport.destroy(), LEAVE_MS);
    transport.once("close", () => clearTimeout(guard));
  }
}
