"""Makes the sounds of `cargo xtask evaluate`, from free software and seeds: nothing is downloaded.

    clips.py [--out FOLDER] [--seconds S]          four clips of music and four of speech, to evaluate on
    clips.py --training [--out FOLDER] [--minutes M]    others, of other seeds, for train.py

Music is played by fluidsynth with the sound font FluidR3 (MIT), drums and noises are synthesized here, speech is
espeak-ng's. All are WAV, mono, 44.1 kHz, 16 bit. Needs numpy, and from the system fluidsynth, fluid-soundfont-gm and
espeak-ng (Debian's names). The same seeds and versions give the same samples."""

import argparse
import math
import random
import shutil
import subprocess
import sys
import tempfile
import wave
from pathlib import Path

import numpy

RATE = 44_100
TARGET = Path(__file__).resolve().parents[2] / "target" / "evaluate"
SOUND_FONTS = ["/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/soundfonts/FluidR3_GM.sf2"]
SCALES = [[0, 2, 4, 5, 7, 9, 11], [0, 2, 3, 5, 7, 8, 10], [0, 2, 4, 7, 9]]
TICKS_PER_BEAT = 480

# General MIDI programs: melody, chords, bass; None leaves the part out.
ENSEMBLES = {
    "band": ([4, 11, 26, 65, 73], [24, 25, 4, 88], [32, 33, 38]),
    "piano": ([0], [0], None),
    "strings": ([40, 68, 71, 73], [48, 49, 52], [42, 43]),
}
VOICES = ["en-us", "en-gb+f4", "en-gb-scotland", "en-us+f3"]
WORDS = """river stream channel water stone light slow quick hidden morning evening garden window letter number music
silence across beneath under around because without seven eleven forty thousand yellow quiet gentle sudden thunder
whisper paper kitchen bridge engine orange summer winter travel question answer circle shadow""".split()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder to write to [default: target/evaluate/clips or …/training]")
    parser.add_argument("--seconds", type=float, default=10.0, help="length of each clip to evaluate on")
    parser.add_argument("--training", action="store_true", help="make clips to train on instead")
    parser.add_argument("--minutes", type=float, default=16.0, help="length of all clips to train on")
    options = parser.parse_args()
    if not 1 <= options.seconds <= 600 or not 1 <= options.minutes <= 600:
        parser.error("1 to 600 seconds or minutes are possible")
    out = options.out or TARGET / ("training" if options.training else "clips")
    font = check_programs()
    out.mkdir(parents=True, exist_ok=True)
    if options.training:
        seconds = 20.0
        kinds = (*ENSEMBLES, "beat", *VOICES)
        rounds = math.ceil(options.minutes * 60 / seconds / len(kinds))
        clips = [(f"{kind}-{seed}", kind, seed) for seed in range(1000, 1000 + rounds) for kind in kinds]
    else:
        seconds = options.seconds
        clips = [(f"music-{kind}", kind, seed) for seed, kind in enumerate((*ENSEMBLES, "beat"))]
        clips += [(f"speech-{number}", voice, number) for number, voice in enumerate(VOICES, 1)]
    for name, kind, seed in clips:
        if kind in ENSEMBLES:
            sound = play(compose(ENSEMBLES[kind], seed, seconds, drums=kind == "band"), font)
        elif kind == "beat":
            sound = beat(seed, seconds)
        else:
            sound = speak(kind, seed, seconds)
        write(out / f"{name}.wav", sound, int(seconds * RATE))
        print(out / f"{name}.wav", flush=True)


def check_programs():
    """The sound font's path; ends with what to install where something is missing."""
    missing = [program for program in ("fluidsynth", "espeak-ng") if shutil.which(program) is None]
    font = next((path for path in SOUND_FONTS if Path(path).is_file()), None)
    if font is None:
        missing.append("fluid-soundfont-gm")
    if missing:
        sys.exit(f"error: {', '.join(missing)} not found; on Debian and Ubuntu: sudo apt-get install {' '.join(missing)}")
    return font


def compose(ensemble, seed, seconds, drums):
    """A standard MIDI file of one track: a melody that wanders over a scale, chords under it, a bass, and drums."""
    dice = random.Random(seed)
    beats_per_minute = dice.randint(70, 130)
    beats = int(seconds * beats_per_minute / 60) + 1
    scale, root = dice.choice(SCALES), dice.randint(40, 50)
    events = [(0, b"\xff\x51\x03" + int(60e6 / beats_per_minute).to_bytes(3, "big"))]

    def pitch(degree, octave):
        return root + 12 * octave + scale[degree % len(scale)] + 12 * (degree // len(scale))

    def note(channel, key, velocity, start, length):
        events.append((int(start * TICKS_PER_BEAT), bytes([0x90 | channel, key, velocity])))
        events.append((int((start + length) * TICKS_PER_BEAT), bytes([0x80 | channel, key, 0])))

    for channel, (programs, step) in enumerate(zip(ensemble, (0.5, 2.0, 1.0))):
        if programs is None:
            continue
        events.append((0, bytes([0xC0 | channel, dice.choice(programs)])))
        degree, start = dice.randint(0, 4), 0.0
        while start < beats:
            degree = max(-3, min(9, degree + dice.choice([-2, -1, -1, 0, 1, 1, 2])))
            length = step * dice.choice([1, 1, 1, 2]) if channel != 1 else step
            chord = [degree, degree + 2, degree + 4] if channel == 1 else [degree]
            if dice.random() > 0.15:
                for member in chord:
                    note(channel, pitch(member, (2, 1, 0)[channel]), dice.randint(55, 110), start, 0.95 * length)
            start += length
    for half in range(2 * beats if drums else 0):
        for key, likelihood in ((36, half % 4 == 0), (38, half % 4 == 2), (42, 0.8), (46, 0.1)):
            if dice.random() < likelihood:
                note(9, key, dice.randint(60, 110), half / 2, 0.4)
    return midi_file(events)


def midi_file(events):
    """The bytes of a standard MIDI file, format 0, of (tick, message)."""
    track, now = b"", 0
    for tick, message in sorted(events, key=lambda event: event[0]):
        track += variable_length(tick - now) + message
        now = tick
    track += b"\x00\xff\x2f\x00"
    head = b"MThd" + (6).to_bytes(4, "big") + b"\x00\x00\x00\x01" + TICKS_PER_BEAT.to_bytes(2, "big")
    return head + b"MTrk" + len(track).to_bytes(4, "big") + track


def variable_length(number):
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))


def play(midi, font):
    """What fluidsynth makes of a MIDI file, both channels in one."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder, "score.mid"), Path(folder, "sound.wav")
        score.write_bytes(midi)
        run(["fluidsynth", "-ni", "-q", "-r", str(RATE), "-g", "0.5", "-F", str(sound), font, str(score)])
        samples, rate = read(sound)
    if rate != RATE:
        sys.exit(f"error: fluidsynth wrote {rate} Hz instead of {RATE}")
    return samples


def speak(voice, seed, seconds):
    """Sentences of drawn words, by espeak-ng."""
    dice = random.Random(seed)
    sentences = int(seconds / 2) + 2
    text = ". ".join(" ".join(dice.choice(WORDS) for _ in range(7)).capitalize() for _ in range(sentences))
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder, "sound.wav")
        run(["espeak-ng", "-v", voice, "-s", str(dice.randint(135, 175)), "-w", str(sound), text])
        samples, rate = read(sound)
    return resample(samples, rate)


def beat(seed, seconds):
    """Drums and noises, from oscillators and noise alone: kick, snare, hats, a noise that sweeps, a bass."""
    dice = numpy.random.default_rng(seed)
    count = int(seconds * RATE)
    sound = numpy.zeros(count + 2 * RATE)
    step = 60 / dice.uniform(90, 140) / 4

    def add(start, gain, samples):
        at = int(start * RATE)
        sound[at : at + len(samples)] += gain * samples[: max(0, len(sound) - at)]

    def time(length):
        return numpy.arange(int(length * RATE)) / RATE

    def hiss(length):
        return dice.standard_normal(int(length * RATE)) * 0.4

    def bright(noise):
        return numpy.diff(noise, prepend=0.0)

    kick_hz, snare_hz, bass_hz = dice.uniform(42, 60), dice.uniform(160, 220), dice.uniform(45, 70)
    for number in range(int(seconds / step) + 1):
        start, place = number * step, number % 16
        if place in (0, 6, 10) or dice.random() < 0.06:
            t = time(0.35)
            add(start, 0.9, numpy.sin(2 * numpy.pi * (kick_hz * t + 6 * (1 - numpy.exp(-25 * t)) / 2)) * numpy.exp(-11 * t))
        if place in (4, 12):
            t = time(0.25)
            add(start, 0.5, hiss(0.25) * numpy.exp(-20 * t) + numpy.sin(2 * numpy.pi * snare_hz * t) * numpy.exp(-28 * t))
        if dice.random() < 0.75:
            t = time(0.12)
            add(start, 0.35, bright(hiss(0.12)) * numpy.exp(-dice.choice([30, 90]) * t))
        if place % 4 == 2:
            t = time(2 * step)
            note = bass_hz * 2 ** (dice.choice([0, 3, 5, 7]) / 12)
            saw = sum(numpy.sin(2 * numpy.pi * note * k * t) / k for k in range(1, 9))
            add(start, 0.25, saw * numpy.exp(-3 * t))
        if place == 0 and dice.random() < 0.6:
            length = 8 * step
            t = time(length)
            rise = numpy.sin(numpy.pi * t / length) ** 2
            carrier = numpy.sin(2 * numpy.pi * (400 * t + 1500 * t * t / length))
            add(start, 0.25, numpy.convolve(hiss(length), numpy.hanning(24) / 12, "same") * carrier * rise)
    return sound[:count]


def resample(samples, rate):
    """To RATE, by the spectrum: rates are whole multiples of 50 Hz, so a clip of whole 20 ms has one of whole bins."""
    whole = len(samples) // (rate // 50) * (rate // 50)
    length = whole * RATE // rate
    spectrum = numpy.fft.rfft(samples[:whole])
    return numpy.fft.irfft(spectrum, length) * (length / whole)


def read(path):
    """Samples of a 16-bit WAV file, its channels averaged, and its rate."""
    with wave.open(str(path)) as file:
        frames = file.readframes(file.getnframes())
        samples = numpy.frombuffer(frames, "<i2").reshape(-1, file.getnchannels()) / 32768
        return samples.mean(1), file.getframerate()


def write(path, samples, count):
    """The first `count` samples, at a peak of -3 dB."""
    samples = numpy.pad(samples[:count], (0, max(0, count - len(samples))))
    peak = numpy.abs(samples).max()
    if peak == 0 or not numpy.isfinite(peak):
        sys.exit(f"error: {path.name} would be silent or not finite (peak {peak})")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(numpy.round(samples / peak * 0.707 * 32767).astype("<i2").tobytes())


def run(command):
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"error: {command[0]} ended with {done.returncode}: {done.stderr.strip()[-400:]}")


if __name__ == "__main__":
    main()
