//! ONNX, from files to streams: the models in `tests/golden/onnx`, made and recorded by `make_onnx.py`.

use std::path::{Path, PathBuf};

use runnel::graph::{Op, Pointwise};
use runnel::import::{self, Options, onnx};
use runnel::random::Randomness;
use runnel::rewrite::rewrite_graph;
use runnel::{Graph, Plan, StreamGraph};
use safetensors::SafeTensors;

use crate::dependence::last_input;
use crate::streams::stream;

/// Models that cannot stream, and words of the reason that each is refused for.
const REFUSED: [(&str, &[&str]); 30] = [
    ("align_corners", &["Resize", "align_corners"]),
    ("attention", &["attention"]),
    ("bidirectional", &["GRU", "bidirectional"]),
    ("cumsum", &["CumSum", "recurrent layer"]),
    ("fixed_place", &["Slice", "fixed place"]),
    ("flip", &["backwards in time"]),
    ("global_pool", &["ReduceMean", "whole signal"]),
    ("group_norm", &["whole signal", "batch norm"]),
    ("gru_clipped", &["GRU", "clips", "±0.5"]),
    ("gru_hard", &["GRU", "HardSigmoid, Tanh", "Sigmoid, Tanh are known"]),
    ("instance_norm", &["InstanceNormalization", "layer norm"]),
    ("last_frames", &["end of the signal"]),
    ("lengths", &["Add", "T-4", "crop or pad"]),
    ("loop", &["Loop", "unroll"]),
    ("mixed_frames", &["MatMul", "only channels can be mixed"]),
    ("no_signal", &["y does not depend on the input x"]),
    ("old", &["version 9", "opset_version"]),
    ("positions", &["Range", "scale_factor"]),
    ("positional", &["Add", "changes over time"]),
    ("rnn_backwards", &["RNN", "reverse in time", "forward layer"]),
    ("rnn_sigmoid", &["RNN", "Sigmoid", "Tanh or Relu are known"]),
    ("round", &["Round"]),
    ("softmax_over_time", &["Softmax", "attention"]),
    ("two_axes", &["[a, b, c]", "--time-axis"]),
    ("two_in_time", &["Concat", "one signal after another"]),
    ("two_lengths", &["input c", "[1, 1, other]"]),
    ("unknown_op", &["NonZero", "size the signal decides"]),
    ("wrap", &["Pad", "circle"]),
    ("no_such_file", &["no_such_file"]),
    ("truncated", &["byte"]),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx")
}

fn load(name: &str) -> Graph {
    let path = folder().join(format!("{name}.onnx"));
    import::open(&path, &Options::default()).unwrap_or_else(|e| panic!("{name}: {e}")).forward
}

/// What another program made of an input embedded in silence.
pub(crate) struct Recording {
    name: String,
    channels: usize,
    x: Vec<f32>,
    y: Vec<Vec<f32>>,
    first: i64,
}

fn recordings() -> Vec<Recording> {
    let all = recorded(&folder());
    assert!(all.len() >= 60, "{} models", all.len());
    all
}

/// The recordings in a folder.
pub(crate) fn recorded(folder: &Path) -> Vec<Recording> {
    let bytes = std::fs::read(folder.join("recorded.safetensors")).unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let read = |name: &str| {
        let tensor = tensors.tensor(name).unwrap();
        let values = tensor.data().as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>();
        (tensor.shape()[0], values)
    };
    let mut all: Vec<_> = (header.metadata().as_ref().unwrap().iter())
        .map(|(name, first)| {
            let (channels, x) = read(&format!("{name}.x"));
            let (rows, y) = read(&format!("{name}.y"));
            let y = y.chunks(y.len() / rows).map(<[f32]>::to_vec).collect();
            Recording { name: name.clone(), channels, x, y, first: first.parse().unwrap() }
        })
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Why the stream of `graph` is not what was recorded.
fn compare(recording: &Recording, graph: &Graph, blocks: &[usize]) -> Option<String> {
    let streamed = rewrite_graph(graph).unwrap();
    let plan = Plan::new(&streamed).unwrap();
    let (first, output) = stream(&plan, &recording.x, recording.channels, blocks, Randomness::Deterministic);
    // A recording from frame 0 is of a model that remembers, whose frames before the signal are its first state.
    let skipped = if recording.first == 0 { (-first).max(0) as usize } else { 0 };
    if first + (skipped as i64) < recording.first || output.len() != recording.y.len() {
        return Some(format!("{} channels from frame {first}", output.len()));
    }
    let scale = recording.y.iter().flatten().fold(1.0f32, |most, v| most.max(v.abs()));
    for (c, (y, wanted)) in output.iter().zip(&recording.y).enumerate() {
        for (i, y) in y.iter().enumerate().skip(skipped) {
            let wanted = wanted[(first + i as i64 - recording.first) as usize];
            if (y - wanted).abs() > 2e-5 * scale || y.is_nan() {
                return Some(format!("channel {c} frame {}: {y}, recorded {wanted}", first + i as i64));
            }
        }
    }
    None
}

#[test]
fn functions_that_code_spells_out_get_their_names() {
    let ops = |name: &str| load(name).nodes().iter().map(|node| node.op.clone()).collect::<Vec<_>>();
    let gelu = ops("f_gelu");
    assert!(gelu.contains(&Op::Pointwise(Pointwise::Gelu)) && !gelu.contains(&Op::Pointwise(Pointwise::Erf)));
    assert!(ops("dac").iter().any(|op| matches!(op, Op::Snake { .. })));
}

/// Every stream is what onnxruntime computed, from the first frame to the last, whatever the blocks.
#[test]
fn streams_are_what_onnxruntime_computes() {
    streams_are_what_was_recorded(&folder(), "onnx", recordings());
}

/// The same of any recordings of the models with this extension in `folder`.
pub(crate) fn streams_are_what_was_recorded(folder: &Path, extension: &str, recordings: Vec<Recording>) {
    let mut wrong = vec![];
    for recording in recordings {
        let path = folder.join(format!("{}.{extension}", recording.name));
        let graph = match import::open(&path, &Options::default()) {
            Ok(model) => model.forward,
            Err(error) => {
                wrong.push(format!("{}: {error}", recording.name));
                continue;
            }
        };
        let frames = recording.x.len() / recording.channels;
        let uneven = [7, 1, 0, 30, 64, 2].into_iter().chain([frames - 104]);
        for blocks in [vec![1; frames], vec![48; frames / 48], vec![64; frames / 64], vec![frames], uneven.collect()] {
            if let Some(difference) = compare(&recording, &graph, &blocks) {
                wrong.push(format!("{} in {} blocks: {difference}\n{graph}", recording.name, blocks.len()));
                break;
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The latency is what the offline graph's dependences need, and not a tick more.
#[test]
fn latencies_are_the_least() {
    for recording in recordings() {
        let graph = load(&recording.name);
        let streamed = rewrite_graph(&graph).unwrap();
        let start = silence_frames(&streamed);
        let (first, last) = last_input(&graph, 2 * start + streamed.hop_frames());
        let (step_in, step_out) = (streamed.input().timeline.step, streamed.output().timeline.step);
        let hop = start * step_in / step_out..(start + streamed.hop_frames()) * step_in / step_out;
        let lag = |n: i64| {
            Some(last[(n - first) as usize]).filter(|&last| last != i64::MIN).map(|last| last * step_in - n * step_out)
        };
        let least = hop.filter_map(lag).max();
        assert_eq!(streamed.latency_ticks(), least.unwrap_or(0).max(0), "{}\n{graph}", recording.name);
    }
}

fn silence_frames(streamed: &StreamGraph) -> i64 {
    let (left, right) = streamed.edge_samples();
    let samples = left.max(right) + streamed.latency_samples();
    let frames = samples as i64 * streamed.ticks_per_sample() / streamed.input().timeline.step + 1;
    (frames as usize).next_multiple_of(2 * streamed.hop_frames() as usize) as i64
}

#[test]
fn what_cannot_stream_is_refused_by_name() {
    for (name, words) in REFUSED {
        let path = folder().join(format!("refused/{name}.onnx"));
        let refusal = if name == "truncated" {
            let bytes = std::fs::read(folder().join("encoder.onnx")).unwrap();
            onnx::from_bytes(name, &bytes[..bytes.len() / 2], &Options::default()).unwrap_err()
        } else {
            import::open(&path, &Options::default()).expect_err(name)
        };
        let message = refusal.to_string();
        for word in words {
            assert!(message.contains(word), "{name}: {message:?} lacks {word:?}");
        }
    }
}

/// Every beginning of a file is refused in words, or is a model.
#[test]
fn truncated_files_do_no_harm() {
    for name in ["keras", "gru", "folded_if"] {
        let bytes = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        for len in 0..bytes.len() {
            if let Err(error) = onnx::from_bytes(name, &bytes[..len], &Options::default()) {
                assert!(!error.to_string().is_empty());
            }
        }
    }
}

/// Every byte of a file may be any other.
#[test]
fn damaged_files_do_no_harm() {
    for name in ["keras", "folded_if", "gru_by_hand"] {
        let bytes = std::fs::read(folder().join(format!("{name}.onnx"))).unwrap();
        for at in 0..bytes.len() {
            for value in [0x00, 0x7f, 0x80, 0xff, bytes[at] ^ 1, bytes[at].wrapping_add(1)] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                let _ = onnx::from_bytes(name, &damaged, &Options::default());
            }
        }
    }
}

/// Weights beside a model are read from its own folder only.
#[test]
fn weights_elsewhere_are_not_opened() {
    let bytes = std::fs::read(folder().join("external.onnx")).unwrap();
    let place = b"external.onnx.data";
    for other in ["../golden/onnx.dat", "/etc/passwd0000000", "external.onnx.dat_", "a/../../rnal.onnx."] {
        assert_eq!(other.len(), place.len());
        let mut changed = bytes.clone();
        while let Some(at) = changed.windows(place.len()).position(|window| window == place) {
            changed[at..at + place.len()].copy_from_slice(other.as_bytes());
        }
        let path = std::env::temp_dir().join(format!("runnel-onnx-{}.onnx", std::process::id()));
        std::fs::write(&path, &changed).unwrap();
        let message = import::open(&path, &Options::default()).unwrap_err().to_string();
        std::fs::remove_file(&path).unwrap();
        assert!(message.contains("folder") || message.contains("beside"), "{message}");
    }
    let message = onnx::from_bytes("external", &bytes, &Options::default()).unwrap_err().to_string();
    assert!(message.contains("external.onnx.data"), "{message}");
}

#[test]
fn the_sampling_rate_is_the_files_or_the_users() {
    let path = folder().join("keras.onnx");
    let open = |sampling_rate| import::open(&path, &Options { sampling_rate, ..Options::default() }).unwrap().info;
    assert_eq!(open(None).sampling_rate, 48_000);
    assert_eq!(open(Some(16_000)).sampling_rate, 16_000);
    let info = import::open(&folder().join("tcn.onnx"), &Options::default()).unwrap().info;
    assert_eq!(info.sampling_rate, 44_100);
    assert!(info.description.contains("44100 Hz assumed"), "{}", info.description);
}

/// A field of a protocol buffer, its value a message or text.
fn field(number: u8, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut len = value.len();
    while len >= 0x80 {
        bytes.push(len as u8 | 0x80);
        len >>= 7;
    }
    bytes.push(len as u8);
    bytes.extend(value);
    bytes
}

fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> Vec<u8> {
    let parts = inputs.iter().map(|name| field(1, name.as_bytes()));
    let parts = parts.chain(outputs.iter().map(|name| field(2, name.as_bytes())));
    parts.chain([field(4, op.as_bytes())]).flatten().collect()
}

/// A model of these nodes and initializers, from `x` of [1, 1, t] to `y`.
fn model(nodes: &[Vec<u8>], initializers: &[Vec<u8>]) -> Vec<u8> {
    let sizes = [vec![8, 1], vec![8, 1], field(2, b"t")].map(|size| field(1, &size)).concat();
    let shape = field(2, &sizes);
    let kind = field(2, &field(1, &[vec![8, 1], shape].concat()));
    let input = [field(1, b"x"), kind].concat();
    let mut graph: Vec<u8> = nodes.iter().flat_map(|node| field(1, node)).collect();
    graph.extend(initializers.iter().flat_map(|tensor| field(5, tensor)));
    graph.extend([field(11, &input), field(12, &field(1, b"y"))].concat());
    [vec![8, 8], field(8, &[16, 17]), field(7, &graph)].concat()
}

/// An initializer of whole numbers: `dims` as they stand in the file, values as bytes.
fn tensor(name: &str, dims: &[u8], values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    [field(1, dims), vec![16, 7], field(8, name.as_bytes()), field(9, &raw)].concat()
}

fn refusal(bytes: &[u8]) -> String {
    onnx::from_bytes("hostile", bytes, &Options::default()).expect_err("hostile").to_string()
}

#[test]
fn hostile_files_are_refused_in_words() {
    let open = |bytes: &[u8]| {
        onnx::from_bytes("plain", bytes, &Options::default()).map(|model| model.forward.output().channels)
    };
    assert_eq!(open(&model(&[node("Relu", &["x"], &["y"])], &[])).unwrap(), 1);

    let cycle = [node("Add", &["x", "b"], &["a"]), node("Relu", &["a"], &["b"]), node("Relu", &["b"], &["y"])];
    assert!(refusal(&model(&cycle, &[])).contains("no operator before it makes"));
    assert!(refusal(&model(&[node("Relu", &["x"], &["z"])], &[])).contains("no operator makes \"y\""));

    let negative = tensor("s", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], &[1]);
    let reshape = [node("Reshape", &["x", "s"], &["y"])];
    assert!(refusal(&model(&reshape, &[negative])).contains("its shape is [-1]"));
    let enormous = tensor("s", &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[1]);
    assert!(refusal(&model(&reshape, &[enormous])).contains("more values than can be counted"));
    let short = tensor("s", &[3], &[1]);
    assert!(refusal(&model(&reshape, &[short])).contains("needs 24 bytes, 8 are there"));

    // A few bytes that ask for many.
    let fill = [node("ConstantOfShape", &["s"], &["c"]), node("Add", &["x", "c"], &["y"])];
    assert!(refusal(&model(&fill, &[tensor("s", &[2], &[1 << 20, 1 << 20])])).contains("out of proportion"));
    let tile = [node("Tile", &["x", "s"], &["y"])];
    assert!(refusal(&model(&tile, &[tensor("s", &[3], &[1, 1 << 40, 1])])).contains("out of proportion"));
    let doubled: Vec<_> = (0..40)
        .map(|i| {
            let name = |i: usize| {
                if i == 0 {
                    "x".to_owned()
                } else if i == 40 {
                    "y".to_owned()
                } else {
                    format!("v{i}")
                }
            };
            node("Tile", &[&name(i), "s"], &[&name(i + 1)])
        })
        .collect();
    assert!(!refusal(&model(&doubled, &[tensor("s", &[3], &[1, 2, 1])])).is_empty());
    let frames = [node("Pad", &["x", "s"], &["y"])];
    assert!(refusal(&model(&frames, &[tensor("s", &[6], &[0, 0, 1 << 50, 0, 0, 0])])).contains("pads by"));
}
