use proptest::prelude::*;

use super::*;
use crate::import::sample::Pickler;

fn parse(bytes: &[u8]) -> Result<Pickle, ImportError> {
    Pickle::parse(bytes, "data.pkl", Dialect::Checkpoint)
}

fn reason(pickler: Pickler) -> String {
    parse(&pickler.stop()).unwrap_err().to_string()
}

#[test]
fn every_kind_of_value_is_read() {
    let text = |text: &str| Value::Text(text.into());
    for (bytes, value) in [
        (b"N".as_slice(), Value::None),
        (b"\x88", Value::Bool(true)),
        (b"\x89", Value::Bool(false)),
        (b"K\x07", Value::Int(7)),
        (b"M\x01\x02", Value::Int(0x201)),
        (b"J\xff\xff\xff\xff", Value::Int(-1)),
        (b"\x8a\x01\x80", Value::Int(-128)),
        (b"\x8a\x00", Value::Int(0)),
        (b"\x8a\x08\0\0\0\0\0\0\0\x80", Value::Int(i64::MIN)),
        (b"\x8b\x09\x00\x00\x00123456789", Value::BigInt),
        (b"G\x3f\xf8\0\0\0\0\0\0", Value::Float(1.5)),
        (b"X\x02\0\0\0\xc3\xa9", text("é")),
        (b"\x8c\x02hi", text("hi")),
        (b"\x8d\x02\0\0\0\0\0\0\0hi", text("hi")),
        (b"C\x02ab", Value::Bytes),
        (b"B\x02\0\0\0ab", Value::Bytes),
        (b"\x96\x02\0\0\0\0\0\0\0ab", Value::Bytes),
        (b"cmy.project\nConfig\n", Value::Global("my.project.Config".into())),
        (b"\x8c\x02my\x8c\x01C\x93", Value::Global("my.C".into())),
    ] {
        let pickle = parse(&Pickler::new().raw(bytes).stop()).unwrap();
        assert_eq!(pickle.value(pickle.root()), &value);
    }
}

#[test]
fn every_kind_of_collection_is_read() {
    let ids = |range: std::ops::Range<u32>| range.map(Id).collect::<Vec<_>>();
    for (bytes, value) in [
        (b")".as_slice(), Value::Tuple(vec![])),
        (b"N\x85", Value::Tuple(ids(0..1))),
        (b"NN\x86", Value::Tuple(ids(0..2))),
        (b"NNN\x87", Value::Tuple(ids(0..3))),
        (b"(NNNNt", Value::Tuple(ids(0..4))),
        (b"]NaN0(NNe", Value::List(vec![Id(1), Id(3), Id(4)])),
        (b"}NNs(NNNNu", Value::Dict(vec![(Id(1), Id(2)), (Id(3), Id(4)), (Id(5), Id(6))])),
        (b"\x8f(NN\x90", Value::Set(ids(1..3))),
        (b"(NN\x91", Value::Set(ids(0..2))),
        (b"]q\x010h\x01", Value::List(vec![])),
        (b"]\x940j\0\0\0\0", Value::List(vec![])),
        (b"NQ", Value::Persistent(Id(0))),
    ] {
        let pickle = parse(&Pickler::new().raw(bytes).stop()).unwrap();
        assert_eq!(pickle.value(pickle.root()), &value, "{bytes:?}");
    }
}

#[test]
fn a_call_is_recorded_with_its_state_and_items() {
    let pickle = Pickler::new().global("my.project", "Config").raw(b")R}").text("a").raw(b"K\x01sbK\x05a");
    let pickle = parse(&pickle.stop()).unwrap();
    let Value::Object(object) = pickle.value(pickle.root()) else { panic!() };
    assert_eq!(pickle.global(object.callee), Some("my.project.Config"));
    assert_eq!(object.items.len(), 1);
    let a = pickle.entry(object.state.unwrap(), "a").unwrap();
    assert_eq!(pickle.value(a), &Value::Int(1));
}

#[test]
fn of_equal_keys_the_last_counts() {
    let pickle = parse(&Pickler::new().raw(b"}").text("a").raw(b"K\x01s").text("a").raw(b"K\x02s").stop()).unwrap();
    assert_eq!(pickle.value(pickle.entry(pickle.root(), "a").unwrap()), &Value::Int(2));
}

#[test]
fn a_call_of_a_system_function_is_refused_by_name() {
    let calls: [(&str, &str); 6] = [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "exec"),
        ("subprocess", "Popen"),
        ("importlib", "import_module"),
    ];
    for (module, name) in calls {
        for call in [b"R".as_slice(), b"\x81", b"}\x92"] {
            let pickler = Pickler::new().global(module, name).raw(b"(").text("echo").raw(b"t").raw(call);
            let reason = reason(pickler);
            assert!(reason.contains(&format!("{module}.{name}")), "{reason}");
            assert!(reason.contains("nothing was executed"), "{reason}");
        }
    }
}

#[test]
fn a_name_from_the_stack_is_judged_like_any_other() {
    let reason = reason(Pickler::new().text("os").text("system").raw(b"\x93)R"));
    assert!(reason.contains("os.system"), "{reason}");
}

#[test]
fn the_result_of_a_call_is_not_called() {
    let getattr = Pickler::new().global("builtins", "getattr").raw(b"(").global("os", "path").text("system").raw(b"tR");
    assert!(parse(&getattr.clone().stop()).is_ok());
    assert!(reason(getattr.raw(b")R")).contains("a call of what is no name"));
}

#[test]
fn data_classes_of_python_and_unknown_classes_stay_records() {
    for (module, name) in [
        ("pathlib", "PosixPath"),
        ("argparse", "Namespace"),
        ("collections", "defaultdict"),
        ("datetime", "datetime"),
        ("my.project", "Config"),
        ("numpy.core.multiarray", "scalar"),
    ] {
        assert!(parse(&Pickler::new().global(module, name).raw(b")R").stop()).is_ok(), "{module}.{name}");
    }
}

#[test]
fn torch_script_may_name_only_its_own() {
    let parse =
        |module, name| Pickle::parse(&Pickler::new().global(module, name).stop(), "data.pkl", Dialect::TorchScript);
    assert!(parse("__torch__.rave.blocks", "EncoderV2").is_ok());
    assert!(parse("torch", "FloatStorage").is_ok());
    let reason = parse("my.project", "Config").unwrap_err().to_string();
    assert!(reason.contains("my.project.Config does not belong"), "{reason}");
    assert!(parse("torch.evil", "Storage").is_err());
}

#[test]
fn an_opcode_outside_the_list_is_refused_by_name_and_offset() {
    for (bytes, name) in [
        (b"I1\n".as_slice(), "INT (0x49)"),
        (b"ios\nsystem\n", "INST (0x69)"),
        (b"(o", "OBJ (0x6f)"),
        (b"P0\n", "PERSID (0x50)"),
        (b"\x82\x01", "EXT1 (0x82)"),
        (b"\x97", "NEXT_BUFFER (0x97)"),
        (b"\xff", "unknown (0xff)"),
    ] {
        let reason = reason(Pickler::new().raw(b"N0").raw(bytes));
        let byte = if name.starts_with("OBJ") { 5 } else { 4 };
        assert!(reason.contains(name) && reason.contains(&format!("byte {byte}:")), "{reason}");
    }
}

#[test]
fn a_protocol_of_the_future_is_refused() {
    assert!(parse(b"\x80\x06N.").unwrap_err().to_string().contains("protocol 6"));
}

#[test]
fn every_truncation_is_refused() {
    let whole = Pickler::new().raw(b"}").text("weights").tensor(crate::import::sample::MATRIX).raw(b"s").stop();
    assert!(parse(&whole).is_ok());
    for len in 0..whole.len() {
        assert!(parse(&whole[..len]).is_err(), "{len} bytes");
    }
}

#[test]
fn lengths_beyond_the_file_are_refused_without_allocation() {
    for bytes in [
        b"X\xff\xff\xff\x7f".as_slice(),
        b"B\xff\xff\xff\xff",
        b"\x8b\xff\xff\xff\xff",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        assert!(parse(&Pickler::new().raw(bytes).stop()).is_err());
    }
}

#[test]
fn a_stack_that_runs_dry_or_over_is_refused() {
    for bytes in
        [b"0".as_slice(), b"\x85", b"t", b"e", b"u", b"R", b"b", b"Q", b"(N0N", b"NN", b"N(\x85t", b"N(0t", b"s", b"q\0"]
    {
        assert!(parse(&Pickler::new().raw(bytes).stop()).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_memo_is_written_before_it_is_read() {
    assert!(reason(Pickler::new().raw(b"h\x05")).contains("memo 5"));
}

#[test]
fn operations_on_the_wrong_kind_of_value_are_refused() {
    for bytes in [b"NK\x01a".as_slice(), b"NK\x01K\x02s", b"}}b", b"](K\x01u", b"}(K\x01u", b"K\x01)R", b"cmy\nC\nNR"] {
        assert!(parse(&Pickler::new().raw(bytes).stop()).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_memo_bomb_costs_nothing() {
    // Each level is a tuple of the level below, twice: 2^60 leaves to whoever would walk it.
    let mut pickler = Pickler::new().raw(b")");
    for level in 0..60 {
        pickler = pickler.raw(&[b'q', level, b'h', level, 0x86]);
    }
    assert_eq!(parse(&pickler.stop()).unwrap().len(), 61);
}

#[test]
fn deep_nesting_is_dropped_without_recursion() {
    let pickler = Pickler::new().raw(b")").raw(&vec![0x85; 1_000_000]);
    assert_eq!(parse(&pickler.stop()).unwrap().len(), 1_000_001);
}

#[test]
fn a_list_may_contain_itself() {
    assert!(parse(&Pickler::new().raw(b"]q\0h\0a").stop()).is_ok());
}

#[test]
fn values_marks_names_and_texts_are_counted() {
    assert!(reason(Pickler::new().raw(b"(").raw(&vec![b'N'; (1 << 21) + 1])).contains("more than 2097152 values"));
    assert!(reason(Pickler::new().raw(&vec![b'('; 5000])).contains("nested deeper"));
    assert!(reason(Pickler::new().text(&"x".repeat((1 << 20) + 1))).contains("a string of 1048577 bytes"));
    let long = "x".repeat(600);
    assert!(reason(Pickler::new().global(&long, "y")).contains("name without end"));
    assert!(reason(Pickler::new().text("m").text(&long).raw(b"\x93")).contains("at most 512 bytes"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut pickle = vec![0x80, 2];
        pickle.extend(bytes);
        let _ = parse(&pickle);
    }

    #[test]
    fn any_opcodes_are_read_or_refused(
        opcodes in proptest::collection::vec(
            prop::sample::select(b"()]}NK\x85\x86\x87tueasbRQq\x81h0cX\x88".to_vec()), 0..200),
    ) {
        let _ = parse(&Pickler::new().raw(&opcodes).stop());
    }
}
