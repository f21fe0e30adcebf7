// The microphone and the loudspeaker, both as 24 kHz PCM16 in base64. Knows nothing of conversations.

export const RATE = 24000;

export function toBase64(samples) {
  const bytes = new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

export function fromBase64(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Int16Array(bytes.buffer);
}

export class Microphone {
  #context = null;
  #stream = null;
  muted = false;

  // onSamples(Int16Array of 40 ms, level 0..1)
  async start(onSamples) {
    this.#stream = await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 },
    });
    const { context, source } = await this.#connect();
    await context.audioWorklet.addModule("/microphone-worklet.js");
    const node = new AudioWorkletNode(context, "microphone", { numberOfOutputs: 0, processorOptions: { rate: RATE } });
    node.port.onmessage = ({ data }) => onSamples(this.muted ? new Int16Array(data.pcm.length) : data.pcm, this.muted ? 0 : data.level);
    source.connect(node);
    await context.resume();
  }

  // Some browsers refuse a source whose rate is not the context's: then the worklet converts.
  async #connect() {
    for (const options of [{ sampleRate: RATE }, {}]) {
      const context = new AudioContext({ ...options, latencyHint: "interactive" });
      try {
        const source = context.createMediaStreamSource(this.#stream);
        this.#context = context;
        return { context, source };
      } catch (error) {
        await context.close();
        if (!("sampleRate" in options)) throw error;
      }
    }
    throw new Error("no audio context");
  }

  async stop() {
    this.#stream?.getTracks().forEach((track) => track.stop());
    await this.#context?.close();
    this.#context = this.#stream = null;
  }
}

export class Speaker {
  #context = null;
  #node = null;
  #played = new Map(); // item -> samples

  // onPlayed(item, milliseconds) about ten times a second while something plays
  async start(onPlayed) {
    this.#context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    await this.#context.audioWorklet.addModule("/speaker-worklet.js");
    this.#node = new AudioWorkletNode(this.#context, "speaker", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => {
      this.#played.set(data.item, data.played);
      onPlayed(data.item, this.playedMs(data.item), data.ended);
    };
    this.#node.connect(this.#context.destination);
    await this.#context.resume();
  }

  play(item, base64) {
    const pcm = fromBase64(base64);
    this.#node?.port.postMessage({ item, pcm }, [pcm.buffer]);
  }

  playedMs(item) {
    return Math.round(((this.#played.get(item) ?? 0) * 1000) / RATE);
  }

  flush() {
    this.#node?.port.postMessage({ flush: true });
  }

  async stop() {
    await this.#context?.close();
    this.#context = this.#node = null;
    this.#played.clear();
  }
}
