//! NumPy's `.npy`: a vector of floats behind a header that is a Python dictionary.

use super::ImportError;

const MAGIC: &[u8] = b"\x93NUMPY";

/// The values of a `.npy` file that holds one row of 32 or 64 bit floats; `file` names it in messages.
///
/// # Errors
/// When it is damaged, or holds something else.
pub(super) fn vector(bytes: &[u8], file: &str) -> Result<Vec<f32>, ImportError> {
    let malformed = |reason: String| ImportError::malformed(file, format!("{reason}; export it again"));
    let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| malformed("does not begin as a .npy file".into()))?;
    let (len, start) = match *rest {
        [1, _, a, b, ..] => (u32::from(u16::from_le_bytes([a, b])), 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([a, b, c, d]), 6),
        [version, ..] => return Err(malformed(format!("is of version {version}, 1 to 3 are read"))),
        [] => return Err(malformed("ends within its header".into())),
    };
    let end = start + len as usize;
    let header = rest.get(start..end).ok_or_else(|| malformed("ends within its header".into()))?;
    let header = String::from_utf8_lossy(header);
    let width = match header {
        _ if header.contains("'<f4'") => 4,
        _ if header.contains("'<f8'") => 8,
        _ => return Err(malformed(format!("holds no 32 or 64 bit floats: {}", header.trim_end()))),
    };
    let sizes = header.split_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("", |(sizes, _)| sizes);
    let count = sizes.trim_end_matches(',').trim().parse::<usize>();
    let count = count.map_err(|_| malformed(format!("has shape ({sizes}), one dimension is needed")))?;
    let data = &rest[end..];
    if count.checked_mul(width) != Some(data.len()) {
        return Err(malformed(format!("tells {count} values of {width} bytes, {} bytes follow", data.len())));
    }
    Ok(if width == 4 {
        data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
    } else {
        let value = |b: &[u8]| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32;
        data.chunks_exact(8).map(value).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let len = (header.len() as u32).to_le_bytes();
        let len = if version == 1 { &len[..2] } else { &len };
        [MAGIC, &[version, 0], len, header.as_bytes(), data].concat()
    }

    #[test]
    fn a_row_of_floats_is_read() {
        let data: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
        for version in 1..=3 {
            assert_eq!(vector(&file(version, header, &data), "w").unwrap(), [1.5, -2.0]);
        }
        let wide: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
        assert_eq!(vector(&file(1, &header.replace("f4", "f8"), &wide), "w").unwrap(), [1.5, -2.0]);
    }

    #[test]
    fn anything_else_is_refused() {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n";
        for (bytes, reason) in [
            (vec![], "does not begin"),
            (MAGIC.to_vec(), "ends within"),
            (file(9, header, &[0; 8]), "version 9"),
            (file(1, header, &[0; 8])[..30].to_vec(), "ends within"),
            (file(1, header, &[0; 7]), "7 bytes follow"),
            (file(1, &header.replace("(2,)", "(2, 1)"), &[0; 8]), "one dimension"),
            (file(1, &header.replace("2,", "18446744073709551615,"), &[0; 8]), "8 bytes follow"),
            (file(1, &header.replace("<f4", "|O"), &[0; 8]), "no 32 or 64 bit floats"),
        ] {
            let message = vector(&bytes, "w").unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
