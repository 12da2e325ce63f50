use std::path::PathBuf;

use super::resample::{length, resample};
use super::*;

/// A sum of sines below `limit` Hz, sampled at `rate`.
fn sines(frames: usize, rate: u32, limit: f64) -> Vec<f32> {
    const COUNT: usize = 32;
    (0..frames)
        .map(|n| {
            let t = n as f64 / f64::from(rate);
            let sum: f64 = (1..=COUNT)
                .map(|i| (std::f64::consts::TAU * limit * i as f64 / COUNT as f64 * t + i as f64).sin())
                .sum();
            (sum / COUNT as f64) as f32
        })
        .collect()
}

fn noise(channels: usize, frames: usize) -> Vec<Vec<f32>> {
    let source = runnel::random::Randomness::Seeded(5);
    (0..channels).map(|c| (0..frames).map(|n| 0.9 * source.uniform(0, n as i64, c)).collect()).collect()
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn round_trip(clip: &Clip, name: &str) -> Result<Clip> {
    let folder = folder();
    let path = folder.path().join(name);
    let audio = !name.ends_with("safetensors");
    let mut output = Output::create(&path, &[])?;
    write(clip, Container::of(&path, audio)?, &mut output)?;
    output.commit()?;
    if audio { read(&path) } else { read_latents(&path) }
}

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = folder();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file");
    (folder, path)
}

fn message(path: &std::path::Path) -> String {
    format!("{:#}", read(path).expect_err("a refusal"))
}

#[test]
fn float_containers_return_the_same_bits() {
    for frames in [0, 1, 2, 31, 4097] {
        for channels in [1, 2, 3, 6] {
            let clip = Clip { channels: noise(channels, frames), sampling_rate: Some(44_100) };
            assert_eq!(round_trip(&clip, "a.wav").expect("wav"), clip, "{channels} × {frames}");
            let array = Clip { sampling_rate: None, ..clip };
            assert_eq!(round_trip(&array, "a.npy").expect("npy"), array, "{channels} × {frames}");
            assert_eq!(round_trip(&array, "a.safetensors").expect("z"), array, "{channels} × {frames}");
        }
    }
}

#[test]
fn flac_returns_every_sample_to_24_bits() {
    for rate in [8_000, 44_100, 47_999, 96_000] {
        for frames in [0, 1, 2, 15, 33, 4096, 4097, 9999] {
            let clip = Clip { channels: noise(2, frames), sampling_rate: Some(rate) };
            let back = round_trip(&clip, "a.flac").unwrap_or_else(|e| panic!("{rate} Hz, {frames} frames: {e:#}"));
            assert_eq!((back.sampling_rate, back.channels.len(), back.frames()), (Some(rate), 2, frames));
            let pairs = clip.channels.iter().flatten().zip(back.channels.iter().flatten());
            let error = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(error <= 0.5000001 / 8_388_608.0, "{rate} Hz, {frames} frames: {error}");
        }
    }
}

#[test]
fn flac_clips_and_says_so() {
    let clip = Clip { channels: vec![vec![0.5, 1.5, -3.0, -1.0]], sampling_rate: Some(44_100) };
    let folder = folder();
    let path = folder.path().join("a.flac");
    let mut output = Output::create(&path, &[]).expect("an output");
    let warning = write(&clip, Container::Flac, &mut output).expect("flac").expect("a warning");
    assert!(warning.contains("2 samples") && warning.contains("3.00"), "{warning}");
    output.commit().expect("a file");
    assert_eq!(read(&path).expect("flac").channels, [[0.5, 1.0 - 1.0 / 8_388_608.0, -1.0, -1.0]]);
}

#[test]
fn resampling_errs_by_less_than_a_millionth() {
    for (from, to) in
        [(44_100, 48_000), (48_000, 44_100), (96_000, 44_100), (22_050, 48_000), (44_100, 47_999), (8_000, 44_100)]
    {
        let limit = 0.97 * 0.5 * f64::from(from.min(to));
        let frames = from as usize * 2;
        let output = resample(&[sines(frames, from, limit)], from, to).expect("rates").remove(0);
        let wanted = sines(output.len(), to, limit);
        let edge = to as usize / 2;
        let error = (edge..output.len() - edge).map(|n| (output[n] - wanted[n]).abs()).fold(0.0, f32::max);
        println!("{from} → {to}: {error:e}");
        assert!(error < 1e-6, "{from} → {to}: {error}");
    }
}

#[test]
fn resampling_keeps_counts_and_instants() {
    for (from, to) in [(44_100, 48_000), (48_000, 44_100), (44_100, 44_100), (11_025, 48_000), (48_001, 44_100)] {
        for frames in [0, 1, 2, 3, 147, 1001] {
            let there = resample(&[vec![0.5; frames]], from, to).expect("rates");
            assert_eq!(there[0].len(), length(frames, from, to), "{from} → {to}, {frames}");
            let back = resample(&there, to, from).expect("rates");
            assert!(back[0].len() >= frames, "{from} → {to}, {frames}: {}", back[0].len());
        }
    }
    // A pulse at 0.25 s stays at 0.25 s.
    let mut pulse = vec![0.0; 48_000];
    pulse[12_000] = 1.0;
    let moved = resample(&[pulse], 48_000, 44_100).expect("rates").remove(0);
    let peak = (0..moved.len()).max_by(|&a, &b| moved[a].abs().total_cmp(&moved[b].abs()));
    assert_eq!(peak, Some(11_025));
}

#[test]
fn numpy_header_is_the_one_numpy_writes() {
    let folder = folder();
    let path = folder.path().join("a.npy");
    let clip = Clip { channels: vec![vec![1.0, 2.0, 3.0]; 2], sampling_rate: None };
    let mut output = Output::create(&path, &[]).expect("an output");
    write(&clip, Container::Npy, &mut output).expect("npy");
    output.commit().expect("a file");
    let bytes = std::fs::read(&path).expect("bytes");
    assert_eq!(bytes.len(), 128 + 24);
    assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
    assert!(bytes[10..].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
    assert_eq!(bytes[127], b'\n');
}

#[test]
fn arrays_of_another_kind_are_refused_with_their_cure() {
    let array = |header: &str, values: usize| {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(vec![0; values * 4]);
        bytes
    };
    for (header, values, cure) in [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2), }", 4, "astype('<f4')"),
        ("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2), }", 2, "ascontiguousarray"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 2), }", 2, "[channels, frames]"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (44100, 2), }", 88_200, "transposed"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }", 2, "needs 12 bytes, 8 follow"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 99999999999), }", 2, "4 GiB"),
        ("{'descr': '<f4', 'fortran_order': False, 'shape': (18446744073709551615, 2), }", 2, "4 GiB"),
        ("{'descr': '<f4', 'fortran_order': False}", 2, "'shape'"),
        ("garbage", 2, "'descr'"),
    ] {
        let (_folder, path) = written("a.npy", &array(header, values));
        let message = message(&path);
        assert!(message.contains(cure), "{header}: {message}");
    }
    let (_folder, path) = written("a.npy", b"\x93NUMPY\x01\x00\xff");
    assert!(message(&path).contains("cut short"));
}

#[test]
fn what_is_no_audio_is_refused() {
    for (name, bytes, words) in [
        ("empty.wav", &b""[..], "0 bytes"),
        ("text.wav", b"this is not audio at all, but a line of text", "not that of a wav"),
        ("jpeg.wav", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00", "not that of a wav"),
        ("riff.wav", b"RIFF\x00\x00", "not that of a wav"),
    ] {
        let (_folder, path) = written(name, bytes);
        let message = message(&path);
        assert!(message.contains(words) && message.contains(name), "{message}");
    }
    let folder = folder();
    assert!(message(folder.path()).contains("it is a folder"));
    assert!(message(&folder.path().join("absent.wav")).contains("does not exist"));
}

#[test]
fn damaged_audio_is_refused() {
    let clip = Clip { channels: noise(2, 20_000), sampling_rate: Some(44_100) };
    for name in ["a.wav", "a.flac"] {
        let folder = folder();
        let path = folder.path().join(name);
        let mut output = Output::create(&path, &[]).expect("an output");
        write(&clip, Container::of(&path, true).expect("a container"), &mut output).expect("audio");
        output.commit().expect("a file");
        let whole = std::fs::read(&path).expect("bytes");
        std::fs::write(&path, &whole[..whole.len() / 2]).expect("half a file");
        let message = message(&path);
        assert!(message.contains("cut short") || message.contains("damaged"), "{name}: {message}");
        // Damage of one bit is never a panic; a checksum may or may not see it.
        for at in (0..whole.len().min(4000)).step_by(7) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            std::fs::write(&path, &flipped).expect("a damaged file");
            let _ = read(&path);
        }
    }
}

#[test]
fn values_that_are_not_finite_are_refused_with_their_place() {
    let folder = folder();
    let path = folder.path().join("a.wav");
    let mut clip = Clip { channels: noise(2, 100), sampling_rate: Some(44_100) };
    clip.channels[1][17] = f32::NAN;
    let mut output = Output::create(&path, &[]).expect("an output");
    write(&clip, Container::Wav, &mut output).expect("wav");
    output.commit().expect("a file");
    let message = message(&path);
    assert!(message.contains("frame 17 of 100, channel 1"), "{message}");
}

#[test]
fn an_unfinished_output_leaves_the_old_one() {
    let (_folder, path) = written("a.wav", b"precious");
    {
        let mut output = Output::create(&path, &[]).expect("an output");
        let clip = Clip { channels: noise(1, 100), sampling_rate: Some(44_100) };
        write(&clip, Container::Wav, &mut output).expect("wav");
    }
    assert_eq!(std::fs::read(&path).expect("bytes"), b"precious");
    assert_eq!(std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count(), 1);
}

#[test]
fn outputs_that_cannot_be_are_refused() {
    let (folder, input) = written("a.wav", b"precious");
    let refusal =
        |path: &std::path::Path| format!("{:#}", Output::create(path, &[&input]).map(|_| ()).expect_err("a refusal"));
    assert!(refusal(&input).contains("the output is the input"));
    assert!(refusal(&folder.path().join(".").join("a.wav")).contains("the output is the input"));
    assert!(refusal(folder.path()).contains("it is a folder"));
    assert!(refusal(&folder.path().join("no/such/b.wav")).contains("does not exist"));
    assert!(refusal(&input.join("b.wav")).contains("is not a folder"));
    #[cfg(unix)]
    {
        let link = folder.path().join("link.wav");
        std::os::unix::fs::symlink(&input, &link).expect("a link");
        assert!(refusal(&link).contains("the output is the input"));
    }
    for name in ["a", "a.mp3", "a.safetensors"] {
        let refusal = Container::of(std::path::Path::new(name), true).expect_err("a refusal").to_string();
        assert!(refusal.contains(".wav (32-bit float), .flac (24 bit) or .npy"), "{refusal}");
    }
}
