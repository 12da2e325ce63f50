use proptest::prelude::*;

use super::*;

fn ints(ints: &[i64]) -> Value {
    Value::List(ints.iter().map(|&int| Value::Int(int)).collect())
}

/// The value of `x = …`.
fn value(text: &str) -> Value {
    parse(&format!("x = {text}")).unwrap().constant("x").unwrap()
}

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

const OPERATIVE: &str = "from __gin__ import dynamic_registration
import cached_conv as cc
from rave import blocks

# Macros:
# ==============================================================================
CAPACITY = 96
DILATIONS = [[1, 3, 9], [1, 3]]
RATIOS = [4, 4, 4, 2]

# Parameters for cc.Conv1d:
# ==============================================================================
cc.Conv1d.bias = False
scales/torch.nn.Conv1d.bias = True

# Parameters for discriminator.CombineDiscriminators:
# ==============================================================================
discriminator.CombineDiscriminators.discriminators = \\
    [@discriminator.MultiPeriodDiscriminator,
     @discriminator.MultiScaleDiscriminator]  # two of them
variational/blocks.EncoderV2.capacity = %CAPACITY
variational/blocks.EncoderV2.dilations = %DILATIONS
blocks.EncoderV2.capacity = 1
blocks.GeneratorV2.latent_size = @core.get_augmented_latent_size()
model.RAVE.encoder = @variational/blocks.EncoderV2
model.RAVE.weights = {'feature_matching': 20, \"adversarial\": 1e-07}
convs.get_padding.mode = 'centered'
";

#[test]
fn an_operative_configuration_is_read() {
    let config = parse(OPERATIVE).unwrap();
    assert_eq!(config.constant("CAPACITY"), Some(Value::Int(96)));
    assert_eq!(
        config.value("variational", "EncoderV2", "dilations"),
        Some(Value::List(vec![ints(&[1, 3, 9]), ints(&[1, 3])]))
    );
    let list = config.value("", "CombineDiscriminators", "discriminators").unwrap();
    let names: Vec<_> = list.list().unwrap().iter().map(|value| value.reference().unwrap()).collect();
    assert_eq!(names, ["MultiPeriodDiscriminator", "MultiScaleDiscriminator"]);
    let latent_size = config.value("", "GeneratorV2", "latent_size").unwrap();
    assert_eq!(latent_size, Value::Reference("core.get_augmented_latent_size".into()));
    let encoder = config.value("", "RAVE", "encoder").unwrap();
    assert_eq!(encoder, Value::Reference("variational/blocks.EncoderV2".into()));
    assert_eq!(encoder.reference(), Some("EncoderV2"));
    let weights = config.value("", "RAVE", "weights").unwrap();
    let (a, b) = (Value::Text("feature_matching".into()), Value::Text("adversarial".into()));
    assert_eq!(weights, Value::Dict(vec![(a, Value::Int(20)), (b, Value::Float(1e-7))]));
    assert_eq!(config.value("", "get_padding", "mode").unwrap().text(), Some("centered"));
}

#[test]
fn the_innermost_scope_that_binds_decides() {
    let config = parse("f.x = 0\na/f.x = 1\na/b/m.f.x = 2\nc/f.y = 3").unwrap();
    let x = |scope| config.value(scope, "f", "x").unwrap().int().unwrap();
    assert_eq!([x(""), x("a"), x("a/b"), x("a/b/c"), x("z"), x("a/z")], [0, 1, 2, 2, 0, 1]);
    assert_eq!(config.value("", "f", "y"), None);
}

#[test]
fn a_configurable_is_found_by_its_last_names() {
    let config = parse(OPERATIVE).unwrap();
    assert_eq!(config.value("scales", "nn.Conv1d", "bias"), Some(Value::Bool(true)));
    assert_eq!(config.value("scales", "cc.Conv1d", "bias"), Some(Value::Bool(false)));
    assert_eq!(config.value("", "onv1d", "bias"), None);
}

#[test]
fn of_equal_bindings_the_last_counts() {
    let config = parse("A = 1\nf.x = %A\nf.x = 3\nA = 2\nf.y = %A").unwrap();
    assert_eq!(config.value("", "f", "x"), Some(Value::Int(3)));
    assert_eq!(config.value("", "f", "y"), Some(Value::Int(2)));
}

#[test]
fn literals_are_those_of_python() {
    for (text, expected) in [
        ("None", Value::None),
        ("True", Value::Bool(true)),
        ("-7", Value::Int(-7)),
        ("1_000", Value::Int(1000)),
        ("99999999999999999999", Value::Float(1e20)),
        ("1e-07", Value::Float(1e-7)),
        ("-.5", Value::Float(-0.5)),
        ("'a#b'", Value::Text("a#b".into())),
        ("\"it's\"", Value::Text("it's".into())),
        ("'\\n\\x41\\u00e9\\'\\101'", Value::Text("\nAé'A".into())),
        ("'''two\nlines'''", Value::Text("two\nlines".into())),
        ("('one '\n 'text')", Value::Text("one text".into())),
        ("()", Value::List(vec![])),
        ("(1,)", ints(&[1])),
        ("(1)", Value::Int(1)),
        ("[1, 2, ]", ints(&[1, 2])),
        ("[ # one\n 1,\n 2\n]", ints(&[1, 2])),
        ("{}", Value::Dict(vec![])),
        ("@f", Value::Reference("f".into())),
        ("@a/b/m.f()", Value::Reference("a/b/m.f".into())),
        ("\\\n  \\\n  5", Value::Int(5)),
    ] {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn line_ends_of_windows_and_a_byte_order_mark_are_read() {
    let config = parse("\u{feff}A = 1\r\nf.x = \\\r\n  [%A,\r\n 2]\r\n").unwrap();
    assert_eq!(config.value("", "f", "x"), Some(ints(&[1, 2])));
}

#[test]
fn an_unknown_macro_has_no_value() {
    let config = parse("f.x = %gin.REQUIRED\nf.y = [1, %NOPE]").unwrap();
    assert_eq!((config.value("", "f", "x"), config.value("", "f", "y")), (None, None));
}

#[test]
fn the_long_spelling_of_a_macro_is_one() {
    assert_eq!(parse("N/macro.value = 3\nf.x = %N").unwrap().value("", "f", "x"), Some(Value::Int(3)));
}

#[test]
fn what_breaks_the_grammar_is_named_with_its_line() {
    for (text, place, reason) in [
        ("A = 1\nB", "line 2", "no binding"),
        ("A = 1\n\n= 3", "line 3", "no binding"),
        ("A = 1\nB = ", "line 2", "a value is missing"),
        ("A =\nB = 1", "line 1", "not a literal"),
        ("A = [1, 2", "line 1", "`,` or `]` is missing at the end"),
        ("A = [1,\n 2\n 3]", "line 3", "`,` or `]` is missing at `3]`"),
        ("A = {1 2}", "line 1", "`:` is missing"),
        ("A = {1: 2 3: 4}", "line 1", "`,` or `}` is missing"),
        ("A = 'x", "line 1", "a string without end"),
        ("A = 'x\n'", "line 1", "a string without end"),
        ("A = '\\xZZ'", "line 1", "hexadecimal"),
        ("A = 1 2", "line 1", "something follows the value at `2`"),
        ("A = lambda: 1", "line 1", "not a literal"),
        ("A = 1-2", "line 1", "not a number"),
        ("A = @", "line 1", "a name is missing"),
        ("include 'base.gin'", "line 1", "included files are not followed"),
        ("f:\n  x = 1", "line 1", "no binding"),
    ] {
        let message = refusal(text);
        assert!(message.contains(place) && message.contains(reason), "{text:?}: {message}");
    }
}

#[test]
fn deep_brackets_are_refused() {
    let reason = refusal(&format!("A = {}", "[".repeat(100_000)));
    assert!(reason.contains("nest deeper than 32"), "{reason}");
}

#[test]
fn macros_in_a_circle_are_refused() {
    assert!(refusal("A = %B\nB = %A").contains("perhaps in a circle"));
    assert!(refusal("A = [%A]").contains("line 1: macros and brackets nest deeper"));
}

#[test]
fn macros_that_multiply_are_refused() {
    let mut text = "M0 = 1\n".to_owned();
    for i in 1..40 {
        text += &format!("M{i} = [%M{0}, %M{0}]\n", i - 1);
    }
    assert!(refusal(&text).contains("expand to far more than the file"));
    let long = format!("A = '{}'\n{}", "x".repeat(10_000), "f.x = %A\n".repeat(10_000));
    assert!(refusal(&long).contains("expand to far more than the file"));
}

#[test]
fn an_enormous_text_is_refused() {
    assert!(refusal(&"#\n".repeat(3 << 20)).contains("more than the 4194304"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn any_change_to_a_configuration_is_read_or_refused(
        at in 0..OPERATIVE.len(), len in 0..4usize, insert in r#"[\[\](){}'"%@=\\\n#a1.:,/-]{0,4}"#,
    ) {
        let end = (at + len).min(OPERATIVE.len());
        let _ = parse(&format!("{}{insert}{}", &OPERATIVE[..at], &OPERATIVE[end..]));
    }
}
