//! The importer on the golden models and on damaged copies of them.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::import::gin::Config;
use crate::import::script::{Attribute, Module};
use crate::import::{LatentChoice, StateDict, Values};

fn golden(model: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/rave").join(model)
}

fn run_folder(model: &str) -> PathBuf {
    golden(model).join(format!("{model}_0a1b2c3d4e"))
}

fn state(model: &str) -> StateDict {
    checkpoint::read(&run_folder(model).join("version_0/checkpoints/best.ckpt")).unwrap().state
}

fn text(model: &str) -> String {
    std::fs::read_to_string(run_folder(model).join("config.gin")).unwrap()
}

fn config(model: &str) -> Config {
    gin::parse(&text(model)).unwrap()
}

fn export(model: &str) -> Module {
    script::read(&golden(model).join("export.ts")).unwrap()
}

/// Both graphs, or why not.
fn graphs(description: Result<Description, ImportError>, choice: LatentChoice) -> Result<(Graph, Graph), ImportError> {
    let description = description?;
    let kept = latents::kept(&description, choice)?;
    Ok((encode::encode(&description, kept)?, decode::decode(&description, kept)?))
}

fn refusal(state: StateDict, config: &Config) -> String {
    graphs(run::describe(state, config), LatentChoice::Default).unwrap_err().to_string()
}

fn floats<'a>(state: &'a mut StateDict, key: &str) -> &'a mut Vec<f32> {
    match &mut state.get_mut(key).unwrap().values {
        Values::Float(values) => values,
        Values::Int(_) => panic!("{key} holds integers"),
    }
}

#[test]
fn what_was_found_is_said_in_one_line() {
    let said = |model: &str, channels| {
        let path = run_folder(model);
        let model = crate::import::open(&path, &Options::default()).unwrap();
        assert_eq!(model.forward.input().channels, channels);
        (model.info.name, model.info.description, model.info.latent_names.len())
    };
    let line = |text: &str| text.to_string();
    assert_eq!(said("v1", 1), (line("v1"), line("RAVE v1, noise, mono, 44100 Hz, ratio 32, 2 of 4 latents"), 2));
    assert_eq!(said("v2", 2), (line("v2"), line("RAVE v3, noise, stereo, 44100 Hz, ratio 32, 2 of 4 latents"), 2));
    let discrete = line("RAVE v2, causal, mono, 44100 Hz, ratio 16, 2 codebooks of 8");
    assert_eq!(said("discrete", 1), (line("discrete"), discrete, 2));
}

#[test]
fn a_missing_tensor_is_named() {
    let keys = [
        ("v2", "latent_pca"),
        ("v2", "pqmf.forward_conv.weight"),
        ("v2", "encoder.encoder.net.0.weight_g"),
        ("v2", "decoder.waveform_module.weight_v"),
        ("v2", "encoder.encoder.net.1.std_y"),
        ("v1", "encoder.encoder.net.1.running_var"),
        ("v1", "decoder.synth.branches.1.weight_v"),
        ("discrete", "encoder.rvq.layers.0._codebook.embed"),
    ];
    for (model, key) in keys {
        let mut state = state(model);
        state.remove(key).unwrap_or_else(|| panic!("{model} has no {key}"));
        let message = refusal(state, &config(model));
        assert!(message.contains(key.rsplit_once('.').map_or(key, |(place, _)| place)), "{key}: {message}");
    }
}

#[test]
fn a_damaged_tensor_is_named() {
    let mut poisoned = state("v1");
    floats(&mut poisoned, "decoder.net.0.weight_v")[3] = f32::INFINITY;
    let message = refusal(poisoned, &config("v1"));
    assert!(message.contains("decoder.net.0.weight_v") && message.contains("inf"), "{message}");

    let mut short = state("v2");
    short.get_mut("latent_mean").unwrap().shape = vec![3];
    floats(&mut short, "latent_mean").pop();
    let message = refusal(short, &config("v2"));
    assert!(message.contains("latent_pca: has shape [4, 4]") && message.contains("[3, 3]"), "{message}");

    let mut narrow = state("v2");
    let first = narrow["decoder.net.0.weight_v"].clone();
    narrow.insert("encoder.encoder.net.5.weight_v".into(), first);
    let message = refusal(narrow, &config("v2"));
    assert!(message.contains("encoder"), "{message}");

    let mut untrained = state("discrete");
    for layer in 0..2 {
        floats(&mut untrained, &format!("encoder.rvq.layers.{layer}._codebook.embed")).fill(0.0);
    }
    let message = refusal(untrained, &config("discrete"));
    assert!(message.contains("every codebook is zero"), "{message}");

    let mut foreign = state("v1");
    let vector = foreign["latent_mean"].clone();
    foreign.insert("encoder.encoder.net.2.curvature".into(), vector);
    let message = refusal(foreign, &config("v1"));
    assert!(message.contains("encoder.encoder.net.2: is a layer that RAVE 2 does not have"), "{message}");
}

#[test]
fn a_configuration_of_another_run_is_refused() {
    let cases = [
        ("v2", "RATIOS = [2, 4]", "RATIOS = [4, 2]", "changes the rate by 2 as number 0"),
        ("v2", "DILATIONS = [[1, 3], [2]]", "DILATIONS = [[1], [2]]", "is dilated unit 1 of a stage"),
        ("v2", "DILATIONS = [[1, 3], [2]]", "DILATIONS = [[1, 3, 9], [2]]", "comes after 2 dilated units"),
        ("v2", "DILATIONS = [[1, 3], [2]]", "DILATIONS = [[1, 3]]", "has 1 lists for 2 ratios"),
        ("v2", "DILATIONS = [[1, 3], [2]]", "DILATIONS = [[1, -3], [2]]", "a number from 1 to"),
        ("v2", "'centered'", "'sideways'", "get_padding.mode: is Text(\"sideways\")"),
        ("v2", "RAVE.encoder = @blocks.VariationalEncoder", "RAVE.encoder = @blocks.Mine", "Mine.encoder_cls"),
        ("v2", "RAVE.decoder = @blocks.GeneratorV2", "RAVE.decoder = @blocks.Mine", "decoder Mine"),
        ("v2", "input_mode = 'pqmf'", "input_mode = 'video'", "RAVE.input_mode"),
        (
            "v1",
            "NoiseGenerator.ratios = [2, 4]",
            "NoiseGenerator.ratios = [2, 2]",
            "target_size: is 8, the ratios make 4",
        ),
        ("v1", "NoiseGenerator.ratios = [2, 4]", "NoiseGenerator.ratios = [8]", "more than config.gin gives ratios"),
        ("v1", "RAVE.encoder = ", "RAVE.nothing = ", "does not bind RAVE.encoder"),
    ];
    for (model, from, to, expected) in cases {
        let text = text(model);
        assert!(text.contains(from), "{model} has no {from}");
        let message = refusal(state(model), &gin::parse(&text.replace(from, to)).unwrap());
        assert!(message.contains(expected), "{to}: {message}");
    }
    let mono = format!("{}\nmodel.RAVE.n_channels = 1\n", text("v2"));
    let message = refusal(state("v2"), &gin::parse(&mono).unwrap());
    assert!(message.contains("2 of audio, but config.gin says n_channels = 1"), "{message}");
}

#[test]
fn phase_one_of_v1_has_no_noise() {
    let mut state = state("v1");
    let flag = state.get_mut("decoder.warmed_up").unwrap();
    flag.values = Values::Int(vec![0]);
    let (_, decode) = graphs(run::describe(state, &config("v1")), LatentChoice::Default).unwrap();
    assert!(decode.nodes().iter().all(|node| !matches!(node.op, Op::NoiseSynth(_))));
}

#[test]
fn an_adain_side_without_updates_is_not_learned() {
    let mut state = state("v2");
    for (key, array) in &mut state {
        if key.ends_with("num_update_y") {
            array.values = Values::Float(vec![0.0]);
        }
    }
    let (encode, _) = graphs(run::describe(state, &config("v2")), LatentChoice::Default).unwrap();
    let sides =
        |op: &Op| if let Op::AdaIn { source, target } = op { Some((source.is_some(), target.is_some())) } else { None };
    let found: Vec<_> = encode.nodes().iter().filter_map(|node| sides(&node.op)).collect();
    assert!(!found.is_empty() && found.iter().all(|sides| *sides == (true, false)), "{found:?}");
}

#[test]
fn a_chosen_number_of_latents_is_checked() {
    let kept = |model: &str, choice| {
        graphs(run::describe(state(model), &config(model)), choice).map(|(encode, decode)| {
            assert_eq!(encode.output().channels, decode.input().channels);
            encode.output().channels
        })
    };
    assert_eq!(kept("v1", LatentChoice::Default).unwrap(), 2);
    assert_eq!(kept("v1", LatentChoice::Fidelity(0.97)).unwrap(), 4);
    assert_eq!(kept("v1", LatentChoice::Count(3)).unwrap(), 3);
    assert_eq!(kept("v1", LatentChoice::Count(4)).unwrap(), 4);
    assert_eq!(kept("discrete", LatentChoice::Count(2)).unwrap(), 2);
    for (model, choice, expected) in [
        ("v1", LatentChoice::Count(0), "from 1 to 4"),
        ("v1", LatentChoice::Count(5), "from 1 to 4"),
        ("v1", LatentChoice::Fidelity(f32::NAN), "0.1 to 0.999"),
        ("v1", LatentChoice::Fidelity(1.0), "0.1 to 0.999"),
        ("discrete", LatentChoice::Count(1), "cannot be ordered"),
        ("discrete", LatentChoice::Fidelity(0.9), "cannot be ordered"),
    ] {
        let message = kept(model, choice).unwrap_err().to_string();
        assert!(message.contains(expected), "{choice:?}: {message}");
    }
}

/// Edits the child of `module` at a dotted path.
fn child(module: &mut Module, path: &str, edit: &mut dyn FnMut(&mut Module)) {
    let found = path.split('.').try_fold(module, |module, name| match module.attributes.get_mut(name) {
        Some(Attribute::Module(module)) => Some(module),
        _ => None,
    });
    edit(found.unwrap_or_else(|| panic!("no module {path}")));
}

#[test]
fn what_is_no_stock_export_is_named() {
    let said = |root: &Module| graphs(export::describe(root), LatentChoice::Default).unwrap_err().to_string();
    let mut root = export("v2");
    root.class = "traced_model.TraceModel".into();
    assert!(said(&root).contains("first generation"), "{}", said(&root));
    root.class = "torchvision.models.ResNet".into();
    assert!(said(&root).contains("TorchScript of class torchvision.models.ResNet"), "{}", said(&root));

    let mut root = export("v2");
    child(&mut root, "decoder.net.4.aligned.branches.0.net.0", &mut |m| m.class = "torch.nn.SiLU".into());
    let message = said(&root);
    assert!(message.contains("class torch.nn.SiLU at decoder.net.4.aligned.branches.0.net.0"), "{message}");

    let mut root = export("v2");
    child(&mut root, "encoder.encoder.net.0", &mut |m| {
        m.constants.remove("stride");
    });
    assert!(said(&root).contains("encoder.encoder.net.0.stride"), "{}", said(&root));

    let mut root = export("v1");
    child(&mut root, "encoder", &mut |m| {
        m.attributes.remove("encoder");
    });
    assert!(said(&root).contains("encoder.encoder: the export has no such module"), "{}", said(&root));

    let mut root = export("v1");
    root.attributes.insert("latent_size".into(), Attribute::Int(9));
    assert!(said(&root).contains("latent_size: is 9; the model has 4 latents"), "{}", said(&root));
}

#[test]
fn a_damaged_prior_is_named() {
    let said = |place: &str, name: &str, value: Attribute| {
        let mut root = export("prior");
        child(&mut root, place, &mut |m| drop(m.attributes.insert(name.into(), value.clone())));
        let prior = export::describe(&root).map(|description| description.prior.unwrap());
        let decode = decode::decode(&export::describe(&export("prior")).unwrap(), 4).unwrap();
        prior.and_then(|prior| played(&prior, &decode)).unwrap_err().to_string()
    };
    let (quantized, pretrained) = ("prior_module.pretrained.quantized_normal", "prior_module.pretrained");
    let pad = Attribute::List(vec![Attribute::Int(1), Attribute::Int(1)]);
    let cases = [
        (quantized, "resolution", Attribute::Int(0), "resolution: is 0; at least 2 is needed"),
        (quantized, "resolution", Attribute::Int(i64::MAX), "times 4 latents it is more than 65536"),
        (quantized, "resolution", Attribute::Int(9), "prior.pre_net.0 (conv1d)"),
        (quantized, "clamp", Attribute::Int(3), "only RAVE's own 4"),
        (pretrained, "latent_size", Attribute::Int(-1), "latent_size: is -1"),
        (
            pretrained,
            "latent_size",
            Attribute::None,
            "latent_size: the rave.prior.model.VariationalPrior holds no such",
        ),
        (pretrained, "residuals", Attribute::None, "prior_module.pretrained.residuals: the export has no such module"),
        (
            "prior_module.pretrained.residuals.1.dconv",
            "_pad",
            pad,
            "residuals.1.dconv: pads 1 frames before and 1 after",
        ),
        ("prior_module", "ratio", Attribute::Int(16), "ratio: is 16; the decoder makes 32 samples of each frame"),
    ];
    for (place, name, value, expected) in cases {
        let message = said(place, name, value);
        assert!(message.contains(expected), "{place}.{name}: {message}");
    }
    let mut root = export("prior");
    child(&mut root, "prior_module", &mut |m| m.class = "mine.Prior".into());
    let message = export::describe(&root).unwrap_err().to_string();
    assert!(message.contains("class mine.Prior at prior_module"), "{message}");
}

#[test]
fn averages_that_are_not_there_are_refused() {
    let options = Options { ema: true, ..Options::default() };
    let message = |path: &Path| crate::import::open(path, &options).unwrap_err().to_string();
    assert!(message(&run_folder("v1")).contains("holds no averaged weights"));
    assert!(message(&golden("v1").join("export.ts")).contains("holds one set of weights"));
}

#[test]
fn an_export_at_another_rate_is_imported_at_its_own() {
    let mut root = export("v2");
    root.attributes.insert("sr".into(), Attribute::Int(88200));
    let attributes = [("model_sr".to_string(), Attribute::Int(44100))].into_iter().collect();
    let resampler = Module {
        class: "rave.resampler.Resampler".into(),
        qualified: String::new(),
        attributes,
        constants: Default::default(),
    };
    root.attributes.insert("resampler".into(), Attribute::Module(resampler.clone()));
    let description = export::describe(&root).unwrap();
    assert_eq!((description.sampling_rate, description.remarks.len()), (44100, 1));

    root.attributes
        .insert("resampler".into(), Attribute::Module(Module { attributes: Default::default(), ..resampler }));
    let message = export::describe(&root).unwrap_err().to_string();
    assert!(message.contains("export it again without --sr"), "{message}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever the shapes, there is a graph or a refusal.
    #[test]
    fn no_shape_is_a_panic(model in 0..3_usize, pick in any::<prop::sample::Index>(), shape in prop::collection::vec(0..9_usize, 0..4)) {
        let model = ["v1", "v2", "discrete"][model];
        let mut state = state(model);
        let key = state.keys().nth(pick.index(state.len())).unwrap().clone();
        let values = Values::Float(vec![0.5; shape.iter().product()]);
        state.insert(key, crate::import::Array { shape, values });
        let _ = graphs(run::describe(state, &config(model)), LatentChoice::Default);
    }

    /// Whatever key is lost or doubled, there is a graph or a refusal.
    #[test]
    fn no_key_is_a_panic(model in 0..3_usize, pick in any::<prop::sample::Index>(), digits in "[0-9]{1,5}") {
        let model = ["v1", "v2", "discrete"][model];
        let mut state = state(model);
        let key = state.keys().nth(pick.index(state.len())).unwrap().clone();
        let array = state.remove(&key).unwrap();
        state.insert(key.replacen(|c: char| c.is_ascii_digit(), &digits, 1), array);
        let _ = graphs(run::describe(state, &config(model)), LatentChoice::Default);
    }
}
