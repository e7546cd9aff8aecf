// The far end of a call: answers an offer, shows what it brings, or sends a plain picture and a tone.
(() => {
  const video = document.querySelector('video');
  const context = new AudioContext();
  const ear = context.createAnalyser();
  ear.fftSize = 8192;
  ear.smoothingTimeConstant = 0;
  const pc = new RTCPeerConnection();
  const stream = new MediaStream();
  pc.ontrack = ({ track }) => {
    stream.addTrack(track);
    video.srcObject = stream;
    video.play();
    if (track.kind == 'audio') context.createMediaStreamSource(new MediaStream([track])).connect(ear);
  };
  const send = (colour, hertz) => {
    const canvas = document.createElement('canvas');
    canvas.width = 320; canvas.height = 240;
    const pixels = canvas.getContext('2d');
    let shade = 0;
    setInterval(() => {
      pixels.fillStyle = colour;
      pixels.fillRect(0, 0, 320, 240);
      // A picture that never changes is not sent again.
      pixels.fillStyle = '#808080';
      pixels.fillRect(0, 0, 1 + (shade = (shade + 1) % 16), 8);
    }, 33);
    pc.addTrack(canvas.captureStream(30).getVideoTracks()[0]);
    const tone = context.createOscillator();
    tone.frequency.value = hertz;
    const out = context.createMediaStreamDestination();
    tone.connect(out);
    tone.start();
    pc.addTrack(out.stream.getAudioTracks()[0]);
  };
  window.answer = async (sdp, colour, hertz) => {
    await context.resume();
    if (colour) send(colour, hertz);
    await pc.setRemoteDescription({ type: 'offer', sdp });
    await pc.setLocalDescription();
    await new Promise((done) => {
      const look = () => pc.iceGatheringState == 'complete' && done();
      pc.onicegatheringstatechange = look;
      look();
    });
    return pc.localDescription.sdp;
  };
  window.look = () => {
    const canvas = document.createElement('canvas');
    canvas.width = canvas.height = 8;
    const pixels = canvas.getContext('2d', { willReadFrequently: true });
    let colours = [];
    if (video.readyState >= 2) {
      pixels.drawImage(video, 0, 0, 8, 8);
      colours = [[2, 4], [5, 4]].map(([x, y]) => [...pixels.getImageData(x, y, 1, 1).data.slice(0, 3)]);
    }
    const spectrum = new Float32Array(ear.frequencyBinCount), wave = new Float32Array(ear.fftSize);
    ear.getFloatFrequencyData(spectrum);
    ear.getFloatTimeDomainData(wave);
    return {
      colours,
      hertz: spectrum.indexOf(Math.max(...spectrum)) * context.sampleRate / ear.fftSize,
      level: Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length),
      frames: video.getVideoPlaybackQuality().totalVideoFrames,
      state: pc.connectionState,
    };
  };
})()
