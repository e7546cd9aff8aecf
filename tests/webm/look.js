(() => {
  const video = document.querySelector('video');
  // Seven colours of the upper half, where SMPTE bars are plain. A new canvas each time: one that was ever
  // given a picture of unknown origin says nothing any more.
  const look = () => {
    const canvas = document.createElement('canvas');
    canvas.width = 70; canvas.height = 10;
    const pixels = canvas.getContext('2d', { willReadFrequently: true });
    pixels.drawImage(video, 0, 0, video.videoWidth, video.videoHeight / 2, 0, 0, 70, 10);
    return Array.from({ length: 7 }, (_, bar) => [...pixels.getImageData(10 * bar + 5, 5, 1, 1).data.slice(0, 3)]);
  };
  const context = new AudioContext();
  const ear = context.createAnalyser();
  ear.fftSize = 8192;
  ear.smoothingTimeConstant = 0;
  context.createMediaElementSource(video).connect(ear).connect(context.destination);
  video.muted = false;
  const events = [];
  for (const name of ['error', 'ended', 'emptied']) video.addEventListener(name, () => events.push(name));
  window.look = () => {
    let colours = [], refused = '';
    try { if (video.readyState >= 2) colours = look(); } catch (error) { refused = String(error); }
    const spectrum = new Float32Array(ear.frequencyBinCount), wave = new Float32Array(ear.fftSize);
    ear.getFloatFrequencyData(spectrum);
    ear.getFloatTimeDomainData(wave);
    const loudest = spectrum.indexOf(Math.max(...spectrum));
    const ranges = video.buffered;
    return {
      colours, refused, events,
      hertz: loudest * context.sampleRate / ear.fftSize,
      level: Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length),
      context: context.state,
      time: video.currentTime,
      begin: ranges.length ? ranges.start(0) : NaN,
      end: ranges.length ? ranges.end(ranges.length - 1) : NaN,
      duration: String(video.duration),
      width: video.videoWidth,
      state: video.readyState,
      error: video.error && video.error.message,
      source: video.currentSrc,
      player: window.player || null,
    };
  };
})()
