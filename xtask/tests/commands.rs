//! The command line as a user meets it: files in, files and one message out.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use runnel::graph::{Conv1d, ConvTranspose1d, Graph, Op};
use runnel::model::{Info, Latent, Model, Provenance};
use runnel::{Tensor, Weight};

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the command line runs")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(line.split_whitespace()).current_dir(self.folder.path());
        command
    }

    fn succeeds(&self, line: &str) -> String {
        let output = self.run(line);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{line}: {err}");
        out
    }

    /// Fails with exit code 1 and one line on stderr that has all of `words`; leaves no new file.
    fn refuses(&self, line: &str, words: &[&str]) {
        let before = self.files();
        let output = self.run(line);
        let (_, err) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{line}: {err}");
        assert_eq!(err.lines().count(), 1, "{line}: {err}");
        assert!(err.starts_with("error: "), "{line}: {err}");
        for word in words {
            assert!(err.contains(word), "{line}: no {word:?} in {err}");
        }
        assert_eq!(self.files(), before, "{line}");
    }

    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(self.folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.is_file())
            .map(|path| (path.clone(), std::fs::read(path).expect("bytes")))
            .collect();
        files.sort();
        files
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.path(name), bytes).expect("a file");
    }

    fn write_model(&self, name: &str) {
        let model = runnel::rewrite::rewrite(&model()).expect("a stream");
        runnel::format::save(&model, &self.path(name)).expect("a file");
    }

    fn write_wav(&self, name: &str, channels: u16, rate: u32, frames: usize) {
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: 32,
            sample_format: hound::SampleFormat::Float,
        };
        let mut writer = hound::WavWriter::create(self.path(name), spec).expect("a file");
        for n in 0..frames {
            for c in 0..channels {
                let t = n as f32 / rate as f32;
                writer
                    .write_sample((t * (300.0 + 100.0 * f32::from(c)) * std::f32::consts::TAU).sin() * 0.5)
                    .expect("a sample");
            }
        }
        writer.finalize().expect("a file");
    }

    fn read_wav(&self, name: &str) -> (hound::WavSpec, Vec<f32>) {
        let mut reader = hound::WavReader::open(self.path(name)).expect("a wav file");
        let samples = reader.samples::<f32>().map(|s| s.expect("a sample")).collect();
        (reader.spec(), samples)
    }
}

fn texts(output: &Output) -> (String, String) {
    (String::from_utf8_lossy(&output.stdout).into(), String::from_utf8_lossy(&output.stderr).into())
}

/// Four bands at a quarter of the rate, a centred residual branch, random latents, and back.
fn model() -> Model {
    let weight = |shape: &[usize], seed: usize| -> Weight {
        let len = shape.iter().product();
        let value = |i: usize| (((i * 7919 + seed * 104_729) % 1009) as f32 / 1009.0 - 0.5) * 0.5;
        Arc::new(Tensor::new(shape, (0..len).map(value).collect()))
    };
    let conv = |weight: Weight, stride: usize, left_padding: i64| {
        Op::Conv1d(Conv1d { weight, bias: None, stride, dilation: 1, left_padding, groups: 1 })
    };
    let mut encode = Graph::new(1);
    let down = encode.push("encoder.down", conv(weight(&[4, 1, 8], 1), 4, 2), &[0]).expect("a node");
    let branch = encode.push("encoder.branch", conv(weight(&[4, 4, 5], 2), 1, 2), &[down]).expect("a node");
    let sum = encode.push("encoder.sum", Op::Add, &[down, branch]).expect("a node");
    let noise = encode.push("encoder.noise", Op::Gaussian { channels: 4, key: 1 }, &[sum]).expect("a node");
    encode.push("encoder.sample", Op::Add, &[sum, noise]).expect("a node");
    let mut decode = Graph::new(4);
    let up = ConvTranspose1d { weight: weight(&[4, 1, 8], 3), bias: None, stride: 4, left_trim: 2, groups: 1 };
    decode.push("decoder.up", Op::ConvTranspose1d(up), &[0]).expect("a node");
    Model {
        forward: encode.then("latents", &decode).expect("a graph"),
        latent: Some(Latent { encode, decode }),
        prior: None,
        info: Info {
            name: "bands".into(),
            description: "four bands".into(),
            sampling_rate: 44_100,
            latent_names: (0..4).map(|i| format!("band {i}")).collect(),
            levels: runnel::Levels::default(),
            refit: None,
            provenance: Provenance { source: "test".into(), sha256: String::new(), converter: "test".into() },
        },
    }
}

fn z_frames(path: &Path) -> Vec<usize> {
    let bytes = std::fs::read(path).expect("bytes");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("safetensors");
    file.tensor("z").expect("z").shape().to_vec()
}

#[test]
fn render_without_arguments_makes_the_demo() {
    let bench = Bench::new();
    let report = bench.succeeds("render");
    for word in ["latency", "real-time factor", "stream against offline"] {
        assert!(report.contains(word), "{report}");
    }
    assert_eq!(bench.read_wav("runnel-demo.wav").1.len(), 4 * 44_100);
    assert!(std::fs::read(bench.path("runnel-demo.png")).expect("a picture").starts_with(b"\x89PNG"));
}

#[test]
fn render_keeps_counts_rates_and_channels() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    for (channels, rate, frames) in [
        (1, 44_100, 0),
        (1, 44_100, 1),
        (2, 44_100, 2),
        (1, 48_000, 0),
        (2, 48_000, 1),
        (3, 22_050, 2),
        (2, 47_999, 10_007),
    ] {
        bench.write_wav("in.wav", channels, rate, frames);
        bench.succeeds("render bands.runnel in.wav");
        let (spec, samples) = bench.read_wav("in-bands.wav");
        assert_eq!((spec.channels, spec.sample_rate), (channels, rate));
        assert_eq!(samples.len(), frames * usize::from(channels), "{channels} channels, {rate} Hz");
    }
}

#[test]
fn render_is_the_same_for_every_partition_and_offline() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.write_wav("in.wav", 2, 44_100, 5000);
    bench.succeeds("render bands.runnel in.wav -o whole.wav --block whole --seed 3");
    let whole = bench.read_wav("whole.wav").1;
    for block in ["1", "7", "512", "random"] {
        bench.succeeds(&format!("render bands.runnel in.wav -o cut.wav --block {block} --seed 3"));
        assert!(bench.read_wav("cut.wav").1 == whole, "{block}");
    }
    bench.succeeds("render bands.runnel in.wav -o other.wav --seed 4");
    assert!(bench.read_wav("other.wav").1 != whole);
    bench.succeeds("render bands.runnel in.wav -o offline.wav --seed 3 --offline");
    let offline = bench.read_wav("offline.wav").1;
    assert_eq!(offline.len(), whole.len());
    let error = whole.iter().zip(&offline).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(error < 1e-5, "{error}");
}

#[test]
fn kept_latency_is_the_reported_one() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.write_wav("in.wav", 1, 44_100, 5000);
    let report = bench.succeeds("render bands.runnel in.wav -o aligned.wav --deterministic --json");
    let report: serde_json::Value = serde_json::from_str(&report).expect("JSON");
    let latency = report["latency_samples"].as_u64().expect("a number") as usize;
    assert!(latency > 0);
    bench.succeeds("render bands.runnel in.wav -o late.wav --deterministic --keep-latency");
    let (aligned, late) = (bench.read_wav("aligned.wav").1, bench.read_wav("late.wav").1);
    assert_eq!((aligned.len(), late.len()), (5000, 5000));
    assert!(late[latency..] == aligned[..5000 - latency]);
}

#[test]
fn a_decoder_plays_without_input() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.succeeds("render bands.runnel --play 0.5");
    let (spec, rest) = bench.read_wav("bands-played.wav");
    assert_eq!((spec.channels, spec.sample_rate, rest.len()), (1, 44_100, 22_050));
    assert!(rest.iter().all(|x| *x == 0.0), "nothing moves the latents");
    bench.refuses("render bands.runnel --play 1 --prior -o no.wav", &["has no prior", "leave --prior out"]);
    bench.refuses("render bands.runnel --method prior", &["--play SECONDS --prior"]);
    bench.refuses("inspect bands.runnel --method prior", &["has no prior"]);

    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/rave/prior/export.ts");
    bench.succeeds(&format!("convert {golden} -o drawn.runnel"));
    let facts = bench.succeeds("inspect drawn.runnel");
    assert!(facts.contains("4 latents of 8 indices; "), "{facts}");
    let verified = bench.succeeds("verify drawn.runnel");
    assert!(verified.contains("\nprior "), "{verified}");
    for (line, name) in [("", "a"), (" --block 7 --slack 40", "b"), (" --seed 1", "c"), (" --temperature 0", "d")] {
        bench.succeeds(&format!("render drawn.runnel --play 0.2 --prior{line} -o {name}.wav"));
    }
    bench.succeeds("render drawn.runnel --play 0.2 --prior --temperature 0 --seed 9 -o e.wav");
    let [a, b, c, d, e] = ["a", "b", "c", "d", "e"].map(|name| bench.read_wav(&format!("{name}.wav")).1);
    assert!(a.len() == 8820 && a.iter().any(|x| x.abs() > 0.01) && a == b && a != c && a != d);
    // The cut latents are drawn too, by the seed.
    assert_ne!(d, e);
}

#[test]
fn latents_go_out_and_come_back() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    for (channels, frames) in [(1, 0), (1, 1), (2, 4001)] {
        bench.write_wav("in.wav", channels, 44_100, frames);
        bench.succeeds("render bands.runnel in.wav --method encode --deterministic");
        assert_eq!(z_frames(&bench.path("in-bands.safetensors")), [4 * usize::from(channels), frames.div_ceil(4)]);
        bench.succeeds("render bands.runnel in-bands.safetensors --method decode -o again.wav");
        bench.succeeds("render bands.runnel in.wav -o forward.wav --deterministic");
        let (again, forward) = (bench.read_wav("again.wav").1, bench.read_wav("forward.wav").1);
        assert_eq!(again.len(), frames.next_multiple_of(4) * usize::from(channels));
        // Before the first latent and after the last, decoding hears silence, the whole model the encoder's response.
        if frames > 128 {
            assert!(again[64..forward.len() - 64] == forward[64..forward.len() - 64], "{channels} × {frames}");
        }
    }
}

#[test]
fn arrays_go_through_at_the_models_rate() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.write_wav("in.wav", 2, 48_000, 4800);
    bench.succeeds("render bands.runnel in.wav -o out.npy");
    let bytes = std::fs::read(bench.path("out.npy")).expect("bytes");
    assert!(String::from_utf8_lossy(&bytes[..128]).contains("'shape': (2, 4410)"));
    bench.succeeds("render bands.runnel out.npy -o again.npy");
    bench.succeeds("render bands.runnel out.npy -o again.flac");
    bench.succeeds("render bands.runnel again.flac -o last.wav");
    assert_eq!(bench.read_wav("last.wav").1.len(), 2 * 4410);
}

#[test]
fn inspect_and_verify_agree_on_the_model() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    let table = bench.succeeds("inspect bands.runnel");
    assert!(table.contains("encoder.branch") && table.contains("latency"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&bench.succeeds("inspect bands.runnel --json")).expect("JSON");
    let nodes = json["methods"]["forward"]["nodes"].as_array().expect("nodes");
    assert!(
        nodes.len() >= 6 && json["methods"]["encode"].is_object() && json["weights"].as_u64() == Some(32 + 80 + 32)
    );

    let text = bench.succeeds("verify bands.runnel");
    assert!(text.contains("verified"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&bench.succeeds("verify bands.runnel --json")).expect("JSON");
    assert_eq!(json["passed"], true);
    // forward and encode silent and seeded, decode.
    assert_eq!(json["checks"].as_array().expect("checks").len(), 5);
    bench.write_wav("in.wav", 2, 48_000, 1000);
    bench.succeeds("verify bands.runnel --input in.wav");
}

#[test]
fn bench_measures_every_configuration() {
    let bench = Bench::new();
    let line = "bench --seconds 0.05 --blocks 64,256 --slack least,20ms";
    let report = bench.succeeds(&format!("{line} --nodes --plot load.png"));
    for word in ["RTF", "forecast", "20ms = 882", "GMAC/s at most", "steps with slack least", "decode.12"] {
        assert!(report.contains(word), "{word}: {report}");
    }
    assert!(std::fs::read(bench.path("load.png")).expect("a picture").starts_with(b"\x89PNG"));
    bench.write_model("bands.runnel");
    let json = bench.succeeds(&format!("{line} bands.runnel --isa portable --json"));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["limits"]["instruction_set"], "portable");
    let rows = json["models"][0]["rows"].as_array().expect("rows");
    assert_eq!(rows.len(), 4);
    for row in rows {
        let number = |name: &str| row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"));
        assert!(number("real_time_factor") > 0.0 && number("limit_reached") > 0.0, "{row}");
        assert!(number("call_median_us") <= number("call_p99_us") && number("call_p99_us") <= number("call_worst_us"));
    }
}

#[test]
fn bench_refuses_what_it_cannot_measure() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.write("bands_streaming.ts", b"no archive");
    bench.refuses("bench absent.runnel", &["absent.runnel", "does not exist"]);
    bench.refuses("bench --against torch", &["the built-in demo has no torch export"]);
    bench.refuses("bench bands.runnel --against onnxruntime", &["bands.onnx", "--peer-model"]);
    bench.refuses("bench bands.runnel --against nam", &["bands.nam", "it plays .nam files only"]);
    bench.refuses("bench bands.runnel --against torch --peer-model absent.ts", &["absent.ts", "does not exist"]);
    bench.refuses("bench bands.runnel --plot no/such/plot.png", &["no/such", "does not exist"]);
    let python = |named: &str| {
        let mut command = bench.command("bench bands.runnel --against torch --seconds 0.05 --blocks 64");
        texts(&command.env("RUNNEL_PEER_PYTHON", named).output().expect("the command line runs")).1
    };
    let refusal = python("/no/such/python");
    assert!(refusal.starts_with("error: RUNNEL_PEER_PYTHON names /no/such/python"), "{refusal}");
}

#[test]
fn evaluate_compares_four_ways_and_writes_a_page() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    std::fs::create_dir(bench.path("sounds")).expect("a folder");
    bench.write_wav("sounds/mono.wav", 1, 44_100, 9_000);
    bench.write_wav("sounds/stereo.wav", 2, 22_050, 9_000);
    bench.write("sounds/notes.txt", b"no sound");
    let line = "evaluate bands.runnel demo --audio sounds --seconds 0.2 --windows 1024,1030 -o page";
    let json = bench.succeeds(&format!("{line} --note bands=Four_bands. --json"));
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    for (model, name) in json["models"].as_array().expect("models").iter().zip(["bands", "demo"]) {
        assert_eq!(model["name"], name);
        let ways = model["ways"].as_array().expect("ways");
        assert_eq!(model["sounds"].as_array().expect("sounds").len(), 2 * ways.len());
        for way in ways {
            let number = |what: &str| way[what].as_f64().unwrap_or_else(|| panic!("{what} in {way}"));
            let exact =
                ["offline", "our stream"].iter().any(|exact| way["way"].as_str().expect("a name").starts_with(exact));
            assert!(number("joins") > 0.0, "{way}");
            match exact {
                true => assert!(number("distance_worst") < 1e-4 && number("clicks") == 0.0, "{way}"),
                false => assert!(number("largest_difference") > 1e-5, "{way}"),
            }
            assert!(way["way"] == "offline" || number("cpu_per_second") > 0.0, "{way}");
        }
        for kind in ["sound", "error", "speed"] {
            let picture = std::fs::read(bench.path(&format!("page/{name}-{kind}.png"))).expect("a picture");
            assert!(picture.starts_with(b"\x89PNG"));
        }
    }
    assert_eq!(json["models"][0]["ways"].as_array().expect("ways").len(), 7);
    let page = std::fs::read_to_string(bench.path("page/README.md")).expect("a page");
    for word in ["### demo", "overlap-add 1024", "cut blocks 1032", "(bands-error.png)", "Four_bands.", "2 sounds"] {
        assert!(page.contains(word), "{word}: {page}");
    }
    assert!(bench.path("page/evaluation.json").is_file());
    let table = bench.succeeds(&line.replace(" demo ", " "));
    assert!(table.contains("our stream, 1024 later") && table.contains("page: page/README.md"), "{table}");
}

#[test]
fn evaluate_refuses_what_it_cannot_compare() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    std::fs::create_dir(bench.path("sounds")).expect("a folder");
    let line = |rest: &str| format!("evaluate bands.runnel -o page --windows 1024 {rest}");
    bench.refuses(&line("--audio absent"), &["absent", "does not exist"]);
    bench.refuses(&line("--audio bands.runnel"), &["bands.runnel", "it is no folder"]);
    bench.refuses(&line("--audio sounds"), &["sounds holds no sound", "clips.py"]);
    bench.write("sounds/text.txt", b"no sound");
    bench.refuses(&line("--audio sounds"), &["sounds holds no sound"]);
    bench.write_wav("sounds/a.wav", 1, 44_100, 1000);
    bench.refuses(&line("--audio sounds"), &["a is too short", "1 000 samples", "--windows"]);
    bench.write_wav("sounds/a.wav", 1, 44_100, 9_000);
    bench.refuses(&line("--audio sounds --note other=x"), &["--note is for other", "bands"]);
    bench.refuses(&line("--audio sounds bands.runnel"), &["two models are called bands"]);
    bench.refuses("evaluate bands.runnel --audio sounds --windows 1024 -o bands.runnel", &["it is a file", "-o"]);
    bench.refuses("evaluate absent.runnel --audio sounds", &["absent.runnel", "does not exist"]);
    bench.write("broken.runnel", b"no model");
    bench.refuses("evaluate broken.runnel --audio sounds", &["broken.runnel"]);
    let mut half = model();
    half.forward = half.latent.take().expect("latents").decode;
    runnel::format::save(&runnel::rewrite::rewrite(&half).expect("a stream"), &bench.path("half.runnel"))
        .expect("a file");
    bench.refuses("evaluate half.runnel --audio sounds", &["cannot evaluate half", "encoder and decoder"]);
    bench.write("sounds/b.wav", b"RIFF");
    bench.refuses(&line("--audio sounds"), &["b.wav"]);
    bench.write("sounds/b.wav", b"");
    bench.refuses(&line("--audio sounds"), &["b.wav", "0 bytes"]);
    bench.write_wav("nan.wav", 1, 44_100, 9_000);
    let mut bytes = std::fs::read(bench.path("nan.wav")).expect("bytes");
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NAN.to_le_bytes());
    bench.write("sounds/b.wav", &bytes);
    bench.refuses(&line("--audio sounds"), &["b.wav", "frame 8999", "NaN"]);
}

#[test]
fn inspect_draws_the_load() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    let report = bench.succeeds("inspect bands.runnel --load load.png --block 32 --slack 2hops");
    assert!(report.contains("peak over mean") && report.contains("slack 2hops"), "{report}");
    assert!(std::fs::read(bench.path("load.png")).expect("a picture").starts_with(b"\x89PNG"));
    bench.succeeds("inspect bands.runnel --load");
    assert!(bench.path("bands-load.png").is_file());
    bench.refuses("inspect bands.runnel --load bands.runnel", &["the output is the input"]);
    bench.refuses("inspect bands.runnel --load no/such/load.png", &["no/such", "does not exist"]);
}

#[test]
fn slack_adds_latency_and_nothing_else() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.write_wav("in.wav", 1, 44_100, 5000);
    let latency = |line: &str| {
        let report: serde_json::Value = serde_json::from_str(&bench.succeeds(line)).expect("JSON");
        report["latency_samples"].as_u64().expect("a number")
    };
    let least = latency("render bands.runnel in.wav -o least.wav --seed 3 --json");
    for (slack, samples) in [("100", 100), ("2hops", 8), ("1ms", 44)] {
        let line = format!("render bands.runnel in.wav -o slack.wav --seed 3 --slack {slack} --json");
        assert_eq!(latency(&line), least + samples);
        assert!(bench.read_wav("slack.wav").1 == bench.read_wav("least.wav").1, "{slack}");
    }
    bench.succeeds("render bands.runnel in.wav -o late.wav --seed 3 --slack 100 --keep-latency");
    let (least_wav, late) = (bench.read_wav("least.wav").1, bench.read_wav("late.wav").1);
    assert!(late[least as usize + 100..] == least_wav[..4900 - least as usize]);
}

#[test]
fn a_model_learns_from_files_and_renders_what_it_learned() {
    let bench = Bench::new();
    let mut learner = Model { latent: None, ..model() };
    let mut forward = Graph::new(1);
    forward.push("adain", Op::AdaIn { source: None, target: None }, &[0]).expect("it fits");
    learner.forward = forward;
    learner.info.latent_names.clear();
    let streams = runnel::rewrite::rewrite(&learner).expect("a stream");
    runnel::format::save(&streams, &bench.path("l.runnel")).expect("a file");
    bench.write_model("m.runnel");
    bench.write_wav("in.wav", 1, 44_100, 4_000);
    bench.write_wav("target.wav", 2, 48_000, 3_000);
    assert!(bench.succeeds("inspect l.runnel").contains("a source and a target, at 1 node"));
    assert!(!bench.succeeds("inspect m.runnel").contains("learns"));

    let samples = |name: &str| -> Vec<f32> {
        hound::WavReader::open(bench.path(name)).expect("a sound").samples().map(|x| x.expect("a sample")).collect()
    };
    let moments = |x: &[f32]| {
        let mean = x.iter().map(|x| f64::from(*x)).sum::<f64>() / x.len() as f64;
        let squares: f64 = x.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum();
        [mean, (squares / (x.len() - 1) as f64).sqrt()]
    };
    // The input is its own source, and the target: nothing changes but for 1e-5 beside the deviation.
    let told = bench.succeeds("render l.runnel in.wav -o same.wav --learn-source in.wav --learn-target in.wav");
    assert!(told.contains("source in.wav, target in.wav"), "{told}");
    let (input, same) = (samples("in.wav"), samples("same.wav"));
    assert!(input.iter().zip(&same).all(|(x, y)| (x - y).abs() < 1e-3 * x.abs().max(0.1)));
    bench.succeeds("render l.runnel in.wav -o out.wav --learn-source in.wav --learn-target target.wav");
    let out = moments(&samples("out.wav"));
    let target = moments(&samples("target.wav"));
    assert!(out.iter().zip(&target).all(|(a, b)| (a - b).abs() < 0.05), "{out:?} {target:?}");

    bench.refuses("render m.runnel in.wav --learn-target in.wav", &["no AdaIN nodes"]);
    bench.refuses("render l.runnel in.wav --learn-target in.wav", &["knows no source", "--learn-source"]);
    bench.refuses("render l.runnel in.wav --learn-source in.wav", &["knows no target", "--learn-target"]);
    bench.refuses("render l.runnel in.wav --learn-source none.wav", &["none.wav", "does not exist"]);
}

#[test]
fn f16_leaves_a_model_of_fast_layers_as_it_is() {
    let bench = Bench::new();
    let export = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/rave/v2/export.ts");
    std::fs::copy(export, bench.path("v2.ts")).expect("a copy");
    bench.succeeds("convert v2.ts -o whole.runnel");
    let said = bench.succeeds("convert v2.ts -o half.runnel --weights f16");
    assert!(said.contains("f16      nothing: every layer sees more than 4 frames"), "{said}");
    let bytes = |name: &str| std::fs::read(bench.path(name)).expect("a file");
    assert_eq!(bytes("half.runnel"), bytes("whole.runnel"));
}

#[test]
fn bad_checkpoints_are_refused() {
    let bench = Bench::new();
    bench.write("empty.ts", b"");
    bench.write("jpeg.ts", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00");
    bench.write("cut.ckpt", b"PK\x03\x04\x00\x00\x08\x08\x00\x00");
    bench.write_model("bands.runnel");
    std::fs::create_dir(bench.path("folder")).expect("a folder");
    bench.refuses("convert absent.ts", &["absent.ts", "does not exist"]);
    bench.refuses("convert empty.ts", &["empty.ts"]);
    bench.refuses("convert jpeg.ts", &["jpeg.ts"]);
    bench.refuses("convert cut.ckpt", &["cut.ckpt"]);
    bench.refuses("convert folder", &["folder"]);
    bench.refuses("convert bands.runnel", &["bands.runnel", "converted already"]);
    bench.refuses("convert jpeg.ts -o jpeg.ts", &["jpeg.ts", "extension .runnel"]);
    bench.refuses("convert jpeg.ts -o no/such/out.runnel", &["no/such", "does not exist"]);
    for command in ["inspect", "verify", "render"] {
        bench.refuses(&format!("{command} absent.runnel"), &["absent.runnel", "does not exist"]);
        bench.refuses(&format!("{command} empty.ts"), &["empty.ts"]);
        bench.refuses(&format!("{command} jpeg.ts"), &["jpeg.ts"]);
        bench.refuses(&format!("{command} folder"), &["folder"]);
    }
    #[cfg(unix)]
    bench.refuses("inspect /dev/zero", &["/dev/zero", "device"]);
}

#[test]
fn damaged_models_are_refused() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    let whole = std::fs::read(bench.path("bands.runnel")).expect("bytes");
    bench.write("cut.runnel", &whole[..whole.len() / 2]);
    bench.refuses("inspect cut.runnel", &["cut.runnel"]);
    let mut nan = whole.clone();
    let at = nan.len() - 4;
    nan[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    bench.write("nan.runnel", &nan);
    bench.refuses("render nan.runnel", &["nan.runnel"]);
}

#[test]
fn bad_sounds_and_outputs_are_refused() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.write_wav("in.wav", 2, 44_100, 100);
    bench.write("empty.wav", b"");
    bench.write("text.wav", b"no sound at all, but a line of text that is long enough");
    std::fs::create_dir(bench.path("folder.wav")).expect("a folder");
    bench.refuses("render bands.runnel absent.wav", &["absent.wav", "does not exist"]);
    bench.refuses("render bands.runnel empty.wav", &["empty.wav", "0 bytes"]);
    bench.refuses("render bands.runnel text.wav", &["text.wav"]);
    bench.refuses("render bands.runnel folder.wav", &["folder.wav", "it is a folder"]);
    bench.refuses("render bands.runnel in.wav -o in.wav", &["the output is the input"]);
    bench.refuses("render bands.runnel in.wav -o bands.runnel", &["extension .runnel"]);
    bench.refuses("render bands.runnel in.wav -o folder.wav", &["it is a folder"]);
    bench.refuses("render bands.runnel in.wav -o no/such/out.wav", &["does not exist"]);
    bench.refuses("render bands.runnel in.wav -o out.mp3", &[".wav (32-bit float)"]);
    bench.refuses("render bands.runnel in.wav -o out.wav --spectrogram out.wav", &[".png"]);
    bench.refuses("render bands.runnel in.wav --method encode -o out.wav", &[".safetensors"]);
    bench.refuses("render bands.runnel in.wav --method decode", &["safetensors"]);
    bench.refuses("render bands.runnel --method decode", &["latents"]);
    bench.refuses("render in.wav bands.runnel", &["comes second"]);
    #[cfg(unix)]
    bench.refuses("render bands.runnel in.wav -o /dev/null.wav/x.wav", &["/dev/null.wav"]);
}

#[test]
fn a_failed_run_leaves_an_existing_output() {
    let bench = Bench::new();
    bench.write_model("bands.runnel");
    bench.write("precious.wav", b"precious");
    bench.write("precious.runnel", b"precious");
    bench.write("jpeg.ts", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00");
    // `refuses` compares every file's bytes.
    bench.refuses("render bands.runnel jpeg.wav -o precious.wav", &["jpeg.wav"]);
    bench.refuses("convert jpeg.ts -o precious.runnel", &["jpeg.ts"]);
}

#[test]
fn wrong_usage_exits_with_2() {
    let bench = Bench::new();
    for line in [
        "",
        "nonsense",
        "render --block 0",
        "render --block x",
        "convert",
        "convert a --fidelity 2",
        "convert a --latents 0",
        "convert a --weights f8",
        "render --slack most",
        "inspect a --block 64",
        "inspect a --load --block 0",
        "bench --slack most",
        "bench --slack 2hop5",
        "bench --blocks 0",
        "bench --blocks 64,,128",
        "bench --against tensorflow",
        "bench --seconds 0",
        "bench --isa avx1024",
        "bench --peer-block 64",
    ] {
        let output = bench.run(line);
        assert_eq!(output.status.code(), Some(2), "{line}: {}", texts(&output).1);
    }
}

#[cfg(not(target_os = "macos"))]
#[test]
fn only_a_mac_builds_for_both_kinds_of_mac() {
    let bench = Bench::new();
    bench.refuses("dist --universal --no-build", &["needs a Mac", "leave out --universal"]);
    bench.refuses("validate --bundle nowhere", &["nowhere", "does not exist"]);
}
