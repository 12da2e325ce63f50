//! The worked example of `docs/describing-a-model.md`, every op, and one test for each way to be wrong.

use proptest::prelude::*;
use safetensors::SafeTensors;

use super::*;
use crate::graph::{Gru, Reset, RnnActivation};
use crate::import::tcn::tests::{error, play};
use crate::import::{self, Array, Options, Values};

const DOCUMENT: &str = include_str!("../../../../docs/describing-a-model.md");

fn golden(file: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/tcn")).join(file)
}

/// The file that the document shows.
fn example() -> String {
    let (_, after) = DOCUMENT.split_once("## A worked example").unwrap();
    after.split("```").nth(1).unwrap().strip_prefix("toml\n").unwrap().to_owned()
}

fn reference(name: &str) -> Vec<f32> {
    let bytes = std::fs::read(golden("ref.safetensors")).unwrap();
    let tensor = SafeTensors::deserialize(&bytes).unwrap().tensor(name).unwrap().data().to_vec();
    tensor.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

/// A folder of its own, gone in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
        let folder = std::env::temp_dir().join(format!("runnel-described-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        files.iter().for_each(|(file, bytes)| std::fs::write(folder.join(file), bytes).unwrap());
        Self(folder)
    }

    fn refusal(&self, file: &str) -> String {
        import::open(&self.0.join(file), &Options::default()).unwrap_err().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_documents_example_plays_as_pytorch_does() {
    let state = std::fs::read(golden("state.safetensors")).unwrap();
    let folder = Folder::new("example", &[(FILE_NAME, example().as_bytes()), ("state.safetensors", &state)]);
    for path in [folder.0.clone(), folder.0.join(FILE_NAME), folder.0.join("state.safetensors")] {
        let model = import::open(&path, &Options::default()).unwrap();
        assert_eq!(
            (model.info.name.as_str(), model.info.provenance.source.as_str()),
            ("Worked example", "state.safetensors")
        );
        assert_eq!(import::files(&path).unwrap().len(), 2);
        let at_rest = error(&play(&model, &reference("x"), &[]), &reference("module.y"));
        assert!(at_rest < 1e-5, "{}: {at_rest}", path.display());
        let y = play(&model, &reference("x"), &reference("condition"));
        let steered = error(&y[27..], &reference("module.y_steered")[27..]);
        assert!(steered < 1e-5, "{}: {steered}", path.display());
    }
}

#[test]
fn weights_may_be_a_state_dict_or_a_module_of_torch() {
    for file in ["state.pt", "module.pt"] {
        let weights = std::fs::read(golden(file)).unwrap();
        let toml = example().replace("state.safetensors", file);
        let folder = Folder::new(file, &[(FILE_NAME, toml.as_bytes()), (file, &weights)]);
        let model = import::open(&folder.0.join(file), &Options::default()).unwrap();
        let error = error(&play(&model, &reference("x"), &[]), &reference("module.y"));
        assert!(error < 1e-5, "{file}: {error}");
    }
}

/// A length of 8827 bytes begins a safetensors file with `{"`, as a JSON object begins; one of 0x120308 bytes with a version
/// and a field, as an ONNX model does.
#[test]
fn a_length_that_reads_as_another_format_is_a_length() {
    let state = std::fs::read(golden("state.safetensors")).unwrap();
    let (length, rest) = state.split_first_chunk::<8>().unwrap();
    let (header, data) = rest.split_at(u64::from_le_bytes(*length) as usize);
    for (len, begin) in [(8827, b"{\""), (0x0012_0308, b"\x08\x03")] {
        let mut padded = (len as u64).to_le_bytes().to_vec();
        padded.extend(header);
        padded.resize(8 + len, b' ');
        padded.extend(data);
        assert!(padded.starts_with(begin));
        let folder = Folder::new("length", &[(FILE_NAME, example().as_bytes()), ("state.safetensors", &padded)]);
        let opened = import::open(&folder.0.join("state.safetensors"), &Options::default());
        assert!(opened.is_ok(), "{len}: {:?}", opened.err());
    }
}

#[test]
fn files_that_do_not_belong_together_are_told_apart() {
    let state = std::fs::read(golden("state.safetensors")).unwrap();
    let toml = example().replace("weights = \"state.safetensors\"\n", "");
    let two = Folder::new("two", &[(FILE_NAME, toml.as_bytes()), ("a.safetensors", &state), ("b.safetensors", &state)]);
    assert!(two.refusal("").contains("2 files of weights lie beside"), "{}", two.refusal(""));
    assert!(import::open(&two.0.join("b.safetensors"), &Options::default()).is_ok());
    let other = Folder::new("other", &[(FILE_NAME, example().as_bytes()), ("a.safetensors", &state)]);
    assert!(other.refusal("a.safetensors").contains("weights, without the layers"), "it describes another file");
    let outside = example().replace("state.safetensors", "../state.safetensors");
    let outside = Folder::new("outside", &[(FILE_NAME, outside.as_bytes())]);
    assert!(outside.refusal("").contains("a file in the same folder is needed"), "{}", outside.refusal(""));
    assert!(Folder::new("none", &[(FILE_NAME, toml.as_bytes())]).refusal("").contains("is missing among 0 tensors"));
    let large = vec![b'#'; 2 << 20];
    assert!(Folder::new("large", &[(FILE_NAME, &large)]).refusal("").contains("2097152 bytes"));
    assert!(Folder::new("bytes", &[(FILE_NAME, b"\xff\xfe")]).refusal("").contains("UTF-8"));
}

fn state() -> StateDict {
    let array = |shape: &[usize]| {
        let len = shape.iter().product::<usize>();
        Array { shape: shape.to_vec(), values: Values::Float((0..len).map(|i| 0.1 + i as f32 / 100.0).collect()) }
    };
    let shapes: [(&str, &[usize]); 17] = [
        ("conv.weight", &[2, 1, 3]),
        ("conv.bias", &[2]),
        ("gained.weight_g", &[2, 1, 1]),
        ("gained.weight_v", &[2, 2, 3]),
        ("up.weight", &[2, 2, 4]),
        ("vector", &[1, 2, 1]),
        ("matrix", &[2, 2]),
        ("response", &[4, 1]),
        ("books", &[3, 5, 2]),
        ("gru.weight_ih_l0", &[6, 2]),
        ("gru.weight_hh_l0", &[6, 2]),
        ("gru.bias_ih_l0", &[6]),
        ("gru.bias_hh_l0", &[6]),
        ("lstm.weight_ih_l0", &[8, 2]),
        ("lstm.weight_hh_l0", &[8, 2]),
        ("lstm.bias_ih_l0", &[8]),
        ("lstm.bias_hh_l0", &[8]),
    ];
    shapes.iter().map(|(name, shape)| ((*name).to_owned(), array(shape))).collect()
}

/// A chain of every op that reads one signal, and branches for the rest.
const EVERY_OP: &str = r#"
rate = 48000
latents = ["a", "b"]
[[parameter]]
name = "held"
minimum = 0
maximum = 1
default = [0.25, 0.5]
[[layer]]
name = "0"
op = "conv1d"
inputs = "input"
module = "conv"
left_padding = "centred"
[[layer]]
name = "1"
op = "linear"
weight = "matrix"
[[layer]]
name = "2"
op = "conv1d"
module = "gained"
dilation = 2
left_padding = "causal"
[[layer]]
name = "3"
op = "conv1d"
weight = { gain = "gained.weight_g", direction = "gained.weight_v" }
left_padding = -1
[[layer]]
name = "4"
op = "batch_norm"
mean = "vector"
variance = [1.0, 2]
[[layer]]
name = "5"
op = "adain"
mean_x = "vector"
std_x = "vector"
mean_y = "vector"
std_y = "vector"
[[layer]]
name = "6"
op = "leaky_relu"
[[layer]]
name = "7"
op = "prelu"
slope = 0.2
[[layer]]
name = "slopes"
op = "prelu"
slope = "vector"
[[layer]]
name = "8"
op = "snake"
alpha = "vector"
[[layer]]
name = "9"
op = "affine"
scale = 0.5
[[layer]]
name = "clamped"
op = "clamp"
high = 0.5
[[layer]]
name = "bent"
op = "leaky_hard_tanh"
low = -0.25
high_slope = 0.1
[[layer]]
name = "elu"
op = "elu"
alpha = 0.5
[[layer]]
name = "power"
op = "power"
exponent = 2
[[layer]]
name = "normed"
op = "layer_norm"
weight = "vector"
bias = [0.5, -0.5]
[[layer]]
name = "rms"
op = "rms_norm"
groups = 2
[[layer]]
name = "shares"
op = "softmax"
[[layer]]
name = "most"
op = "max"
inputs = ["shares", "normed"]
[[layer]]
name = "10"
op = "gru"
module = "gru"
reset = "state"
initial_hidden = [0.5, -0.5]
[[layer]]
name = "lstm"
op = "lstm"
module = "lstm"
initial_cell = [0.5, -0.5]
[[layer]]
name = "plain"
op = "rnn"
weight_ih = "matrix"
weight_hh = "matrix"
bias_ih = "vector"
bias_hh = [0.5, -0.5]
activation = "relu"
[[layer]]
name = "11"
op = "unit_norm"
[[layer]]
name = "12"
op = "quantize"
codebooks = "books"
[[layer]]
name = "13"
op = "dequantize"
codebooks = "books"
[[layer]]
name = "14"
op = "to_angles"
[[layer]]
name = "15"
op = "from_angles"
[[layer]]
name = "16"
op = "latent_edit"
[[layer]]
name = "drawn"
op = "gaussian"
channels = 2
[[layer]]
name = "17"
op = "add"
inputs = ["16", "drawn", "held"]
[[layer]]
name = "18"
op = "mul"
inputs = ["17", "16"]
[[layer]]
name = "19"
op = "concat"
inputs = ["18", "17"]
[[layer]]
name = "20"
op = "slice"
channels = 2
[[layer]]
name = "21"
op = "alternate_sign"
[[layer]]
name = "22"
op = "conv_transpose1d"
weight = "up.weight"
stride = 2
left_trim = 1
[[layer]]
name = "23"
op = "depth_to_time"
factor = 2
[[layer]]
name = "24"
op = "repeat"
factor = 2
[[layer]]
name = "25"
op = "noise_synth"
response = "response"
[[layer]]
name = "26"
op = "power_spectrum"
window = [0.5, 1, 1, 0.5]
hop = 2
[[layer]]
name = "steered"
op = "parameter"
parameter = "Loudness"
minimum = -1
maximum = 1
[[layer]]
name = "27"
op = "mul"
inputs = ["26", "steered"]
"#;

#[test]
fn every_op_can_be_described() {
    let said = describe("x.toml", EVERY_OP, &state()).unwrap();
    assert_eq!((said.sampling_rate, said.latent_names), (48_000, vec!["a".to_owned(), "b".to_owned()]));
    let mut used: Vec<_> = said.graph.nodes().iter().map(|node| node.op.name()).collect();
    for kind in [
        "relu",
        "tanh",
        "sigmoid",
        "softplus",
        "mod_sigmoid",
        "log1p",
        "silu",
        "hard_swish",
        "softsign",
        "fast_tanh",
        "gelu",
        "gelu_tanh",
        "erf",
        "exp",
        "log",
        "sqrt",
        "reciprocal",
        "sin",
        "cos",
        "abs",
    ] {
        let text = format!("rate = 1\n[[layer]]\nname = \"a\"\nop = \"{kind}\"\n");
        used.push(describe("x.toml", &text, &state()).unwrap().graph.output().op.name());
    }
    for name in layer::KINDS {
        // Other names for the same.
        let op = match name {
            "linear" => "conv1d",
            "relu" => "leaky_relu",
            "rms_norm" => "layer_norm",
            name => name,
        };
        assert!(used.contains(&op), "{name} is not tried here");
        assert!(DOCUMENT.contains(&format!("`{name}`")), "{name} is not in the document");
    }
}

#[test]
fn what_is_wrong_is_named_with_its_line_and_the_cure() {
    let layer = "rate = 44100\n[[layer]]\nname = \"a\"\n";
    for (text, told) in [
        ("", "line 1, column 1: rate is missing"),
        ("rate = 44100", "layer is missing: at least one [[layer]]"),
        ("rate = 0\n", "line 1, column 8: rate: 0 Hz"),
        ("rate = 1.5\n", "rate: an integer is needed, not float"),
        ("rate = [1\n", "line 1"),
        ("rate = 1\nrate = 2\n", "line 2"),
        (layer, "line 2, column 1: op is missing"),
        (&format!("{layer}op = \"conv2d\"\n"), "line 4, column 6: op: \"conv2d\" is no op; there are conv1d, "),
        (
            &format!("{layer}op = \"tanh\"\nslope = 1\n"),
            "line 5, column 1: \"slope\" is no key of tanh; it has inputs, name, op",
        ),
        (
            &format!("{layer}op = \"tanh\"\ninputs = \"b\"\n"),
            "line 5, column 10: inputs: \"b\" is no layer before this one",
        ),
        (&format!("{layer}op = \"conv1d\"\n"), "weight is missing: a tensor's name"),
        (
            &format!("{layer}op = \"conv1d\"\nweight = \"conv.wieght\"\n"),
            "line 5, column 10: weight: tensor conv.wieght: is missing among 17 tensors; the nearest is conv.weight",
        ),
        (&format!("{layer}op = \"conv1d\"\nweight = \"matrix\"\n"), "weight has shape [2, 2], 3 dimensions are needed"),
        (
            &format!("{layer}op = \"conv1d\"\nmodule = \"conv\"\ngroups = 7\n"),
            "line 2, column 1: a (conv1d): 1 input and 2 output channels do not divide into 7 groups",
        ),
        (
            &format!("{layer}op = \"conv1d\"\nmodule = \"conv\"\nleft_padding = \"same\"\n"),
            "\"causal\" or \"centred\" is needed",
        ),
        (&format!("{layer}op = \"repeat\"\nfactor = -2\n"), "factor: -2; not less than 0"),
        (&format!("{layer}op = \"adain\"\nmean_x = [0.0]\n"), "std_x is missing: a tensor's name"),
        (&format!("{layer}op = \"clamp\"\nlow = 2\n"), "low: 2; not more than high, 1, is needed"),
        (
            &format!("{layer}op = \"lstm\"\nmodule = \"lstm\"\nbias_hh = \"vector\"\n"),
            "bias_hh: 2 values, bias_ih has 8; as many are needed",
        ),
        (&format!("{layer}op = \"gru\"\nmodule = \"gru\"\nreset = \"new\"\n"), "\"product\" or \"state\" is needed"),
        (
            &format!("{layer}op = \"rnn\"\nmodule = \"gru\"\nactivation = \"sigmoid\"\n"),
            "line 6, column 14: activation: \"tanh\" or \"relu\" is needed",
        ),
        (&format!("{layer}op = \"snake\"\nalpha = [nan]\n"), "alpha: a finite number is needed"),
        (
            &format!("{layer}op = \"tanh\"\n[[layer]]\nname = \"a\"\nop = \"tanh\"\n"),
            "line 5, column 1: a (tanh): a second layer of this name",
        ),
        (
            &format!("{layer}op = \"tanh\"\n[[layer]]\nname = \"b\"\nop = \"tanh\"\ninputs = \"input\"\n"),
            "line 3, column 8: name: \"a\" is read by no layer",
        ),
        ("rate = 1\nlayer = 3\n", "layer: a list of tables, each written [[layer]], is needed, not integer"),
        (
            "rate = 1\n[[parameter]]\nname = \"p\"\nminimum = 1\nmaximum = 0\n[[layer]]\nname = \"a\"\nop = \"mul\"\ninputs = [\"input\", \"p\"]\n",
            "line 2, column 1: p (a parameter): a range of 1 to 0",
        ),
        (
            "rate = 1\nlatents = [\"x\"]\n[[layer]]\nname = \"a\"\nop = \"tanh\"\n",
            "latents: 1 names; 0 channels reach a latent_edit",
        ),
    ] {
        let reason = describe("runnel.toml", text, &state()).unwrap_err().to_string();
        assert!(reason.starts_with("runnel.toml, line ") && reason.contains(told), "{text}\n{reason}");
    }
    let mut broken = state();
    broken.get_mut("matrix").unwrap().values = Values::Float(vec![0.0, f32::NAN, 1.0, 2.0]);
    let text = format!("{layer}op = \"linear\"\nweight = \"matrix\"\n");
    let reason = describe("runnel.toml", &text, &broken).unwrap_err().to_string();
    assert!(reason.contains("value 1 of 4 is NaN"), "{reason}");
}

#[test]
fn an_adain_may_know_one_side_and_an_lstm_sums_its_biases() {
    let adain = "rate = 1\n[[layer]]\nname = \"a\"\nop = \"adain\"\nmean_y = [1.0]\nstd_y = [2.0]\n";
    match &describe("x.toml", adain, &state()).unwrap().graph.output().op {
        Op::AdaIn { source: None, target: Some(target) } => assert_eq!(target.of(0), [1.0, 2.0]),
        other => panic!("{other:?}"),
    }
    let lstm = "rate = 1\nchannels = 2\n[[layer]]\nname = \"a\"\nop = \"lstm\"\nmodule = \"lstm\"\n";
    match &describe("x.toml", lstm, &state()).unwrap().graph.output().op {
        Op::Lstm(lstm) => {
            assert!((lstm.bias.data()[3] - 0.26).abs() < 1e-6, "{:?}", lstm.bias);
            assert_eq!([lstm.initial_hidden.data(), lstm.initial_cell.data()], [[0.0; 2]; 2]);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_gru_is_pytorchs_and_an_rnn_a_tanh_where_nothing_else_is_said() {
    let gru = "rate = 1\nchannels = 2\n[[layer]]\nname = \"a\"\nop = \"gru\"\nmodule = \"gru\"\n";
    match &describe("x.toml", gru, &state()).unwrap().graph.output().op {
        Op::Gru(gru) => assert_eq!((gru.reset, &gru.initial_hidden), (Reset::Product, &None)),
        other => panic!("{other:?}"),
    }
    let other = format!("{gru}reset = \"state\"\ninitial_hidden = [0.5, 0.25]\n");
    match &describe("x.toml", &other, &state()).unwrap().graph.output().op {
        Op::Gru(Gru { reset: Reset::State, initial_hidden: Some(state), .. }) => assert_eq!(state.data(), [0.5, 0.25]),
        other => panic!("{other:?}"),
    }
    let rnn = "rate = 1\nchannels = 2\n[[layer]]\nname = \"a\"\nop = \"rnn\"\nweight_ih = \"matrix\"\nweight_hh = \"matrix\"\n\
               bias_ih = [0.5, 1.0]\nbias_hh = [0.25, 2.0]\n";
    match &describe("x.toml", rnn, &state()).unwrap().graph.output().op {
        Op::Rnn(rnn) => {
            assert_eq!((rnn.bias.data(), rnn.initial_hidden.data()), (&[0.75, 3.0][..], &[0.0; 2][..]));
            assert_eq!(rnn.activation, RnnActivation::Tanh);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_tensor_is_not_used_without_end() {
    let layers: String =
        (0..4000).map(|i| format!("[[layer]]\nname = \"{i}\"\nop = \"linear\"\nweight = \"matrix\"\n")).collect();
    let mut state = state();
    let values = Values::Float(vec![0.5; 1 << 16]);
    state.insert("matrix".into(), Array { shape: vec![1 << 8, 1 << 8], values });
    let text = format!("rate = 1\nchannels = 256\n{layers}");
    let reason = describe("runnel.toml", &text, &state).unwrap_err().to_string();
    assert!(reason.contains("far more than the weights file holds"), "{reason}");
}

proptest! {
    #[test]
    fn any_change_is_read_or_refused(at in 0..EVERY_OP.len(), len in 0..12usize, insert in "[ -~\n]{0,6}") {
        let end = (at + len).min(EVERY_OP.len());
        let text = format!("{}{insert}{}", &EVERY_OP[..at], &EVERY_OP[end..]);
        let _ = describe("x.toml", &text, &state());
    }
}
