use std::io::Cursor;

use proptest::prelude::*;

use super::super::sample::{CODE, MATRIX, Pickler, Tensor, changed, checkpoint, f32s, script, zip};
use super::*;

const SIX: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

fn read(pickler: Pickler) -> Result<Module, ImportError> {
    from_archive(&mut Archive::new(script(&pickler.stop(), &f32s(&SIX)), "x.ts")?)
}

fn refusal(pickler: Pickler) -> String {
    read(pickler).unwrap_err().to_string()
}

fn net(attributes: impl Fn(Pickler) -> Pickler) -> Pickler {
    Pickler::new().module("__torch__", "Net", attributes)
}

fn conv(pickler: Pickler, attributes: impl Fn(Pickler) -> Pickler) -> Pickler {
    pickler.module("__torch__.nn.___torch_mangle_3", "Conv1d", attributes)
}

#[test]
fn a_tree_of_modules_is_read() {
    let net = read(net(|pickler| {
        let pickler = conv(pickler.text("10"), |p| p.text("weight").tensor(MATRIX).text("bias").raw(b"N"));
        let pickler = conv(pickler.text("9"), |p| p.text("transposed").raw(b"\x89"));
        let pickler = pickler.text("sr").int(44100).text("mode").text("pqmf").text("training").raw(b"\x89");
        let pickler = pickler.text("scale").raw(b"G\x3f\xf8\0\0\0\0\0\0");
        let pickler = pickler.text("_pad").ints(&[1, 2]).text("labels").raw(b"]").text("a").raw(b"a");
        let pickler = pickler.text("sizes").global("torch.jit._pickle", "build_intlist").raw(b"]K\x03aK\x04a\x85R");
        let pickler = pickler.text("tagged").global("torch.jit._pickle", "restore_type_tag").raw(b"]K\x05a");
        pickler.text("List[int]").raw(b"\x86R").text("map").raw(b"}").text("k").raw(b"K\x06s")
    }))
    .unwrap();
    assert_eq!(net.class, "Net");
    assert_eq!(net.children().iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["9", "10"]);
    let conv = net.at("10").unwrap();
    assert_eq!(conv.class, "nn.Conv1d");
    assert_eq!(conv.tensor("weight").unwrap().floats().unwrap(), SIX);
    assert_eq!(conv.attributes["bias"], Attribute::None);
    assert_eq!((net.int("sr"), net.text("mode"), net.bool("training")), (Some(44100), Some("pqmf"), Some(false)));
    assert_eq!(net.attributes["scale"], Attribute::Float(1.5));
    assert_eq!(net.ints("_pad"), Some(vec![1, 2]));
    assert_eq!(net.ints("sizes"), Some(vec![3, 4]));
    assert_eq!(net.ints("tagged"), Some(vec![5]));
    assert_eq!(net.attributes["labels"], Attribute::List(vec![Attribute::Text("a".into())]));
    let pair = Attribute::List(vec![Attribute::Text("k".into()), Attribute::Int(6)]);
    assert_eq!(net.attributes["map"], Attribute::List(vec![pair]));
}

#[test]
fn constants_are_those_that_the_class_declares() {
    let conv = read(conv(Pickler::new(), |p| p)).unwrap();
    assert_eq!(conv.constant_int("stride"), Some(4));
    assert_eq!(conv.constant_int("groups"), Some(1));
    assert_eq!(conv.constant_float("eps"), Some(1e-5));
    assert_eq!(conv.constants["padding_mode"], Constant::Text("zeros".into()));
    assert_eq!(conv.constants["affine"], Constant::Bool(true));
    let ints = |ints: &[i64]| Constant::List(ints.iter().map(|&int| Constant::Int(int)).collect());
    assert_eq!(conv.constants["sizes"], Constant::List(vec![ints(&[1, 2]), ints(&[3])]));
    let names: Vec<&str> = conv.constants.keys().map(String::as_str).collect();
    assert_eq!(names, ["affine", "eps", "groups", "padding_mode", "sizes", "stride"]);
}

#[test]
fn the_full_mangled_name_decides() {
    let reason = refusal(Pickler::new().module("__torch__.nn", "Conv1d", |p| p));
    assert!(reason.contains("entry code/__torch__/nn.py: missing; the class Conv1d"), "{reason}");
    let reason = refusal(Pickler::new().module("__torch__", "Conv1d", |p| p));
    assert!(reason.contains("entry code/__torch__.py: the class Conv1d is missing"), "{reason}");
}

#[test]
fn a_name_outside_torch_script_is_refused() {
    let reason = refusal(net(|pickler| pickler.text("x").global("os", "system").raw(b")R")));
    assert!(reason.contains("os.system does not belong") && reason.contains("nothing was executed"), "{reason}");
}

#[test]
fn a_damaged_tensor_is_refused_with_its_place() {
    let reason = refusal(net(|pickler| pickler.text("w").tensor(Tensor { offset: 5, ..MATRIX })));
    assert!(reason.contains("x.ts, entry data.pkl") && reason.contains("reach element 10"), "{reason}");
}

#[test]
fn what_is_no_module_is_described() {
    assert!(refusal(Pickler::new().raw(b"N")).contains("holds None instead of a module"));
    let reason = refusal(net(|pickler| pickler.text("sub").global("__torch__", "Net").raw(b")\x81)b")));
    assert!(reason.contains("data.pkl, sub: the state of a Net is a tuple"), "{reason}");
    let reason = refusal(net(|pickler| pickler.text("a").raw(b"]cbuiltins\nset\na").raw(b"0N")));
    assert!(reason.contains("builtins.set does not belong"), "{reason}");
    let reason = refusal(net(|pickler| pickler.text("x").raw(b"C\x01a")));
    assert!(reason.contains("data.pkl, x: bytes as an attribute"), "{reason}");
    let reason = refusal(net(|pickler| pickler.raw(b"K\x01K\x02")));
    assert!(reason.contains("an integer as the name of an attribute"), "{reason}");
}

#[test]
fn a_module_that_contains_itself_is_refused() {
    let reason = refusal(Pickler::new().global("__torch__", "Net").raw(b")\x81q\0}").text("me").raw(b"h\0sb"));
    assert!(reason.contains("me.me.me") && reason.contains("perhaps in a circle"), "{reason}");
    let reason = refusal(net(|pickler| pickler.text("list").raw(b"]q\0h\0a")));
    assert!(reason.contains("perhaps in a circle"), "{reason}");
}

#[test]
fn shared_values_do_not_unfold_without_bound() {
    let mut pickler = Pickler::new().global("__torch__", "Net").raw(b")\x81}").text("x").raw(b")");
    for level in 0..40 {
        pickler = pickler.raw(&[b'q', level, b'h', level, 0x86]);
    }
    let reason = refusal(pickler.raw(b"sb"));
    assert!(reason.contains("far more than the file"), "{reason}");
}

#[test]
fn a_checkpoint_is_called_what_it_is() {
    let mut archive = Archive::new(checkpoint(|pickler| pickler, &[]), "x.ckpt").unwrap();
    let reason = from_archive(&mut archive).unwrap_err().to_string();
    assert!(reason.contains("x.ckpt is written by torch.save"), "{reason}");
}

/// The pickle of a small net with a convolution.
fn whole() -> Vec<u8> {
    let net = net(|pickler| {
        let pickler = conv(pickler.text("0"), |p| p.text("weight").tensor(MATRIX).text("bias").raw(b"N"));
        pickler.text("sizes").global("torch.jit._pickle", "build_intlist").raw(b"]q\0K\x03ah\0a\x85R")
    });
    net.stop()
}

proptest! {
    #[test]
    fn any_change_to_the_pickle_is_read_or_refused(
        at in 0..1usize << 16, len in 0..4usize, insert: [u8; 4], n in 0..5usize,
    ) {
        let pickle = changed(&whole(), at, len, &insert[..n]);
        let _ = from_archive(&mut Archive::new(script(&pickle, &f32s(&SIX)), "x.ts").unwrap());
    }

    #[test]
    fn any_change_to_the_code_is_read_or_refused(
        at in 0..1usize << 16, len in 0..4usize, insert in r#"[\[\](){}'",:= \n1.]{0,4}"#,
    ) {
        let code = changed(CODE.as_bytes(), at, len, insert.as_bytes());
        let net = conv(Pickler::new(), |p| p).stop();
        let entry = "code/__torch__/nn/___torch_mangle_3.py";
        let archive = Cursor::new(zip(&[("data.pkl", &net), (entry, &code)]));
        let _ = from_archive(&mut Archive::new(archive, "x.ts").unwrap());
    }
}
