// Plays queued PCM16 and says how much of each item was played. Runs on the audio thread.

const FADE = 120; // samples over which a cut fades out, so that it does not click

class SpeakerProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.queue = []; // {item, pcm, at}
    this.played = 0;
    this.item = null;
    this.told = 0;
    this.value = 0;
    this.fading = 0;
    this.port.onmessage = ({ data }) => (data.flush ? this.#flush() : this.queue.push({ ...data, at: 0 }));
  }

  #flush() {
    this.queue = [];
    this.fading = FADE;
    this.#tell(true);
  }

  #tell(ended) {
    if (this.item !== null) this.port.postMessage({ item: this.item, played: this.played, ended });
    this.told = 0;
  }

  #next() {
    while (this.queue.length && this.queue[0].at >= this.queue[0].pcm.length) this.queue.shift();
    const head = this.queue[0];
    if (!head) return null;
    if (head.item !== this.item) {
      this.#tell(true);
      this.item = head.item;
      this.played = 0;
    }
    this.played += 1;
    return head.pcm[head.at++] / 32768;
  }

  process(_, [output]) {
    const channel = output[0];
    const before = this.played;
    for (let i = 0; i < channel.length; i++) {
      const sample = this.#next();
      if (sample !== null) {
        this.value = sample;
        this.fading = 0;
      } else {
        this.fading = this.fading || FADE;
        this.value *= (this.fading - 1) / FADE;
        this.fading = Math.max(1, this.fading - 1);
      }
      channel[i] = this.value;
    }
    this.told += channel.length;
    if (this.played !== before && (this.told >= sampleRate / 10 || !this.queue.length)) this.#tell(false);
    return true;
  }
}

registerProcessor("speaker", SpeakerProcessor);
