use super::super::checkpoint;
use super::super::sample::{MATRIX, Pickler, Tensor, checkpoint, f32s, one_tensor};
use super::*;

fn read(tensor: Tensor, storage: &[u8]) -> Result<Array, ImportError> {
    let mut archive = Archive::new(one_tensor(tensor, storage), "x.ckpt")?;
    Ok(checkpoint::from_archive(&mut archive, |_| true)?.state.remove("w").unwrap())
}

fn refusal(tensor: Tensor) -> String {
    read(tensor, &f32s(&[0.0; 6])).unwrap_err().to_string()
}

const SIX: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

#[test]
fn strides_and_offsets_are_resolved_to_row_major_order() {
    for (shape, strides, offset, expected) in [
        (&[2, 3][..], &[3, 1][..], 0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0][..]),
        (&[3, 2], &[1, 3], 0, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]),
        (&[2], &[2], 3, &[4.0, 6.0]),
        (&[2, 2], &[0, 1], 1, &[2.0, 3.0, 2.0, 3.0]),
        (&[2, 1, 2], &[3, 9, 2], 0, &[1.0, 3.0, 4.0, 6.0]),
        (&[1, 6], &[77, 1], 0, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
        (&[], &[], 4, &[5.0]),
        (&[0, 5], &[5, 1], 0, &[]),
    ] {
        let array = read(Tensor { shape, strides, offset, ..MATRIX }, &f32s(&SIX)).unwrap();
        assert_eq!(array.floats().unwrap(), expected);
        assert_eq!(array.shape, shape.iter().map(|&size| size as usize).collect::<Vec<_>>());
    }
}

#[test]
fn every_element_type_is_read() {
    let floats: [(&str, &[u8], &[f32]); 3] = [
        (
            "HalfStorage",
            &[0x00, 0x3c, 0x01, 0x00, 0x00, 0xfc, 0xff, 0x7b],
            &[1.0, 5.960_464_5e-8, f32::NEG_INFINITY, 65504.0],
        ),
        ("BFloat16Storage", &[0x80, 0x3f, 0x20, 0xc0], &[1.0, -2.5]),
        ("DoubleStorage", &[0, 0, 0, 0, 0, 0, 0xf8, 0x3f], &[1.5]),
    ];
    for (class, bytes, expected) in floats {
        let n = expected.len() as i32;
        let array = read(Tensor { class, numel: n, shape: &[n], strides: &[1], ..MATRIX }, bytes).unwrap();
        assert_eq!(array.floats().unwrap(), expected, "{class}");
    }
    let ints: [(&str, &[u8], &[i64]); 6] = [
        ("LongStorage", &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[-2]),
        ("IntStorage", &[0xfe, 0xff, 0xff, 0xff], &[-2]),
        ("ShortStorage", &[0xfe, 0xff], &[-2]),
        ("CharStorage", &[0xfe, 3], &[-2, 3]),
        ("ByteStorage", &[0xfe, 3], &[254, 3]),
        ("BoolStorage", &[0, 1], &[0, 1]),
    ];
    for (class, bytes, expected) in ints {
        let n = expected.len() as i32;
        let array = read(Tensor { class, numel: n, shape: &[n], strides: &[1], ..MATRIX }, bytes).unwrap();
        assert_eq!(array.ints().unwrap(), expected, "{class}");
    }
}

#[test]
fn halves_agree_with_their_definition() {
    for bits in 0..=u16::MAX {
        let value = f16::from_bits(bits).to_f32();
        let (exponent, fraction) = (i32::from((bits >> 10) & 31), f64::from(bits & 1023));
        let magnitude = match exponent {
            0 => fraction / 1024.0 * 2f64.powi(-14),
            31 if fraction == 0.0 => f64::INFINITY,
            31 => f64::NAN,
            _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
        };
        let expected = if bits >> 15 == 1 { -magnitude } else { magnitude };
        assert!(f64::from(value) == expected || value.is_nan() && expected.is_nan(), "{bits:#x}");
    }
}

#[test]
fn a_parameter_is_its_tensor() {
    let wrapped = |pickler: Pickler| {
        let pickler = pickler.text("state_dict").raw(b"}").text("w").global("torch._utils", "_rebuild_parameter");
        pickler.raw(b"(").tensor(MATRIX).raw(b"\x88").global("collections", "OrderedDict").raw(b")RtRs")
    };
    let mut archive = Archive::new(checkpoint(wrapped, &[("archive/data/0", &f32s(&SIX))]), "x.ckpt").unwrap();
    let state = checkpoint::from_archive(&mut archive, |_| true).unwrap().state;
    assert_eq!(state["w"].floats().unwrap(), SIX);
}

#[test]
fn a_view_beyond_its_storage_is_refused() {
    let reason = refusal(Tensor { offset: 1, ..MATRIX });
    assert!(reason.contains("state_dict, w: shape [2, 3]") && reason.contains("reach element 6"), "{reason}");
    assert!(refusal(Tensor { strides: &[4, 1], ..MATRIX }).contains("reach element 6"));
}

#[test]
fn negative_sizes_are_refused() {
    for tensor in [
        Tensor { shape: &[-1, 3], ..MATRIX },
        Tensor { strides: &[-3, 1], ..MATRIX },
        Tensor { offset: -1, ..MATRIX },
        Tensor { numel: -6, ..MATRIX },
    ] {
        assert!(refusal(tensor).contains("size"));
    }
}

#[test]
fn shapes_that_overflow_are_refused() {
    let huge = [i32::MAX; 4];
    assert!(refusal(Tensor { shape: &huge, strides: &[0; 4], ..MATRIX }).contains("overflows"));
    assert!(refusal(Tensor { shape: &[2; 3], strides: &[i32::MAX; 3], ..MATRIX }).contains("reach element"));
    assert!(refusal(Tensor { shape: &[1; 17], strides: &[1; 17], ..MATRIX }).contains("at most 16"));
    assert!(refusal(Tensor { shape: &[6], strides: &[1, 1], ..MATRIX }).contains("1 sizes and 2 strides"));
}

#[test]
fn one_element_repeated_without_bound_is_refused() {
    let reason = refusal(Tensor { shape: &[1000, 1000, 1000], strides: &[0, 0, 0], ..MATRIX });
    assert!(reason.contains("far more than the file"), "{reason}");
}

#[test]
fn repetitions_add_up() {
    let rows = |pickler: Pickler, count: i32| {
        let rows = Tensor { shape: &[10_000, 3], strides: &[0, 1], ..MATRIX };
        let pickler = pickler.text("state_dict").raw(b"}(");
        (0..count).fold(pickler, |pickler, i| pickler.text(&format!("w{i}")).tensor(rows)).raw(b"u")
    };
    let read = |count| {
        let bytes = checkpoint(|pickler| rows(pickler, count), &[("archive/data/0", &f32s(&SIX))]);
        checkpoint::from_archive(&mut Archive::new(bytes, "x.ckpt").unwrap(), |_| true)
    };
    assert!(read(2).is_ok());
    assert!(read(3).unwrap_err().to_string().contains("far more than the file"));
}

#[test]
fn a_storage_of_another_size_than_claimed_is_refused() {
    let reason = read(MATRIX, &f32s(&[0.0; 5])).unwrap_err().to_string();
    assert!(reason.contains("entry data/0: 20 bytes where 6 elements of F32 belong"), "{reason}");
}

#[test]
fn a_missing_storage_is_named() {
    let reason = refusal(Tensor { key: "7", ..MATRIX });
    assert!(reason.contains("entry data/7: missing"), "{reason}");
    assert!(refusal(Tensor { key: &"7".repeat(100), ..MATRIX }).contains("100 bytes long"));
    assert!(refusal(Tensor { key: "../data.pkl", ..MATRIX }).contains("missing"));
}

#[test]
fn kinds_of_numbers_and_tensors_that_cannot_be_read_are_named() {
    assert!(refusal(Tensor { class: "ComplexFloatStorage", ..MATRIX }).contains("torch.ComplexFloatStorage"));
    let sparse = |pickler: Pickler| {
        pickler.text("state_dict").raw(b"}").text("w").global("torch._utils", "_rebuild_sparse_tensor").raw(b")Rs")
    };
    let mut archive = Archive::new(checkpoint(sparse, &[]), "x.ckpt").unwrap();
    let reason = checkpoint::from_archive(&mut archive, |_| true).unwrap_err().to_string();
    assert!(reason.contains("_rebuild_sparse_tensor cannot be read"), "{reason}");
}

#[test]
fn a_storage_that_many_views_share_is_read_once() {
    // A thousand scalars of one storage: reading it for each would exceed what an archive may unpack to.
    let shared = |mut pickler: Pickler| {
        pickler = pickler.text("state_dict").raw(b"}(");
        for i in 0..1000 {
            let tensor = Tensor { numel: 1 << 18, offset: i, shape: &[], strides: &[], ..MATRIX };
            pickler = pickler.text(&format!("w{i}")).tensor(tensor);
        }
        pickler.raw(b"u")
    };
    let bytes = f32s(&(0..1 << 18).map(|i| i as f32).collect::<Vec<_>>());
    let mut archive = Archive::new(checkpoint(shared, &[("archive/data/0", &bytes)]), "x.ckpt").unwrap();
    let state = checkpoint::from_archive(&mut archive, |_| true).unwrap().state;
    assert_eq!(state.len(), 1000);
    assert_eq!(state["w999"].floats().unwrap(), [999.0]);
}
