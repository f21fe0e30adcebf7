// Collects 40 ms of microphone sound as PCM16 at the wanted rate. Runs on the audio thread.

class MicrophoneProcessor extends AudioWorkletProcessor {
  constructor({ processorOptions }) {
    super();
    this.rate = processorOptions.rate;
    this.step = sampleRate / this.rate; // input samples per output sample
    this.block = new Int16Array(this.rate / 25);
    this.filled = 0;
    this.power = 0;
    this.place = 0; // of the next output sample, in input samples from the start of this quantum
    this.last = 0;
    this.smooth = 0;
  }

  process([input]) {
    const samples = input[0];
    if (!samples) return true;
    if (this.step === 1) for (const sample of samples) this.#add(sample);
    else this.#resample(samples);
    return true;
  }

  // Only where the browser cannot give us our rate: a one-pole low pass, then linear interpolation.
  #resample(samples) {
    const weight = Math.min(1, 1.6 / this.step);
    for (const sample of samples) {
      this.smooth += weight * (sample - this.smooth);
      while (this.place < 1) {
        this.#add(this.last + (this.smooth - this.last) * this.place);
        this.place += this.step;
      }
      this.place -= 1;
      this.last = this.smooth;
    }
  }

  #add(sample) {
    const clipped = Math.max(-1, Math.min(1, sample));
    this.power += clipped * clipped;
    this.block[this.filled++] = clipped < 0 ? clipped * 32768 : clipped * 32767;
    if (this.filled < this.block.length) return;
    const pcm = this.block;
    const level = Math.min(1, 4 * Math.sqrt(this.power / pcm.length));
    this.block = new Int16Array(pcm.length);
    this.filled = this.power = 0;
    this.port.postMessage({ pcm, level }, [pcm.buffer]);
  }
}

registerProcessor("microphone", MicrophoneProcessor);
