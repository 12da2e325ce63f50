//! Protocol buffers on the wire: fields of a message, one after another, without a schema. Nothing is copied, every
//! length is checked against the bytes that are there.

use crate::import::ImportError;

/// A message's bytes, and where in the file they begin.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Message<'a> {
    bytes: &'a [u8],
    place: usize,
}

/// A field's value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(Message<'a>),
    Fixed32([u8; 4]),
}

/// A field: its number in the schema, and its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) value: Wire<'a>,
    place: usize,
}

impl<'a> Message<'a> {
    /// The message that a whole file is.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, place: 0 }
    }

    pub(super) fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes as text.
    ///
    /// # Errors
    /// When they are no UTF-8.
    pub(super) fn text(self) -> Result<&'a str, ImportError> {
        std::str::from_utf8(self.bytes).map_err(|_| damaged(self.place, "text that is no UTF-8"))
    }

    /// The fields in the order of the file; after an error nothing more.
    pub(super) fn fields(self) -> Fields<'a> {
        Fields { bytes: self.bytes, at: 0, place: self.place }
    }

    /// The numbers of a packed field.
    pub(super) fn varints(self) -> impl Iterator<Item = Result<u64, ImportError>> {
        let mut rest = self.fields();
        std::iter::from_fn(move || (rest.at < rest.bytes.len()).then(|| rest.varint().inspect_err(|_| rest.stop())))
    }
}

impl<'a> Field<'a> {
    pub(super) fn message(self) -> Result<Message<'a>, ImportError> {
        if let Wire::Bytes(message) = self.value { Ok(message) } else { Err(self.misfit("bytes")) }
    }

    pub(super) fn text(self) -> Result<&'a str, ImportError> {
        self.message()?.text()
    }

    pub(super) fn int(self) -> Result<i64, ImportError> {
        if let Wire::Varint(value) = self.value { Ok(value as i64) } else { Err(self.misfit("a number")) }
    }

    pub(super) fn float(self) -> Result<f32, ImportError> {
        if let Wire::Fixed32(bytes) = self.value { Ok(f32::from_le_bytes(bytes)) } else { Err(self.misfit("a float")) }
    }

    /// One number, or a packed list of them.
    pub(super) fn ints(self, into: &mut Vec<i64>) -> Result<(), ImportError> {
        match self.value {
            Wire::Varint(value) => into.push(value as i64),
            Wire::Bytes(packed) => {
                for value in packed.varints() {
                    into.push(value? as i64);
                }
            }
            _ => return Err(self.misfit("numbers")),
        }
        Ok(())
    }

    /// One float, or a packed list of them.
    pub(super) fn floats(self, into: &mut Vec<f32>) -> Result<(), ImportError> {
        match self.value {
            Wire::Fixed32(bytes) => into.push(f32::from_le_bytes(bytes)),
            Wire::Bytes(packed) if packed.bytes.len().is_multiple_of(4) => {
                into.extend(packed.bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
            }
            _ => return Err(self.misfit("floats")),
        }
        Ok(())
    }

    /// One double, or a packed list of them, as floats.
    pub(super) fn doubles(self, into: &mut Vec<f32>) -> Result<(), ImportError> {
        match self.value {
            Wire::Fixed64(bytes) => into.push(f64::from_le_bytes(bytes) as f32),
            Wire::Bytes(packed) if packed.bytes.len().is_multiple_of(8) => {
                into.extend(packed.bytes.as_chunks().0.iter().map(|b| f64::from_le_bytes(*b) as f32));
            }
            _ => return Err(self.misfit("doubles")),
        }
        Ok(())
    }

    fn misfit(self, wanted: &str) -> ImportError {
        damaged(self.place, format!("field {} holds no {}", self.number, wanted.trim_start_matches("a ")))
    }
}

/// A walk over the fields of a message.
pub(super) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
    place: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        Some(self.field().inspect_err(|_| self.stop()))
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<Field<'a>, ImportError> {
        let place = self.place + self.at;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| (1..1 << 29).contains(n));
        let number = number.ok_or_else(|| damaged(place, format!("field number {}", tag >> 3)))?;
        let value = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => Wire::Fixed64(*self.take(8, place)?.bytes.as_array().expect("eight were taken")),
            2 => {
                let len = self.varint()?;
                Wire::Bytes(self.take(len, place)?)
            }
            5 => Wire::Fixed32(*self.take(4, place)?.bytes.as_array().expect("four were taken")),
            kind => return Err(damaged(place, format!("field {number} of wire type {kind}"))),
        };
        Ok(Field { number, value, place })
    }

    fn take(&mut self, len: u64, place: usize) -> Result<Message<'a>, ImportError> {
        let left = self.bytes.len() - self.at;
        let len = usize::try_from(len).ok().filter(|&len| len <= left);
        let len = len.ok_or_else(|| damaged(place, format!("a field longer than the {left} bytes that are left")))?;
        let taken = Message { bytes: &self.bytes[self.at..self.at + len], place: self.place + self.at };
        self.at += len;
        Ok(taken)
    }

    fn varint(&mut self) -> Result<u64, ImportError> {
        let place = self.place + self.at;
        let mut value = 0;
        for (i, byte) in self.bytes[self.at..].iter().take(10).enumerate() {
            if i == 9 && *byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * i);
            if byte & 0x80 == 0 {
                self.at += i + 1;
                return Ok(value);
            }
        }
        Err(damaged(place, "a number that does not end, or is too large"))
    }

    fn stop(&mut self) {
        self.at = self.bytes.len();
    }
}

fn damaged(place: usize, reason: impl Into<String>) -> ImportError {
    let reason = reason.into();
    ImportError::malformed(format!("byte {place}"), format!("{reason}; copy, download or export the file again"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Vec<Field<'_>>, ImportError> {
        Message::new(bytes).fields().collect()
    }

    #[test]
    fn every_wire_type_is_read() {
        let fields = read(&[0x08, 0x96, 0x01, 0x12, 2, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f]).unwrap();
        assert_eq!(fields[0].int().unwrap(), 150);
        assert_eq!(fields[1].text().unwrap(), "hi");
        assert_eq!(fields[2].float().unwrap(), 1.0);
        let mut ints = vec![];
        read(&[0x0a, 3, 1, 0x80, 1]).unwrap()[0].ints(&mut ints).unwrap();
        assert_eq!(ints, [1, 128]);
        let negative = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
        assert_eq!(read(&negative).unwrap()[0].int().unwrap(), -1);
    }

    #[test]
    fn what_lies_about_its_length_is_refused() {
        let endless = [0x80; 12];
        let too_large = [0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        let longer = [0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1];
        for bytes in [&endless[..], &too_large, &longer, &[0x0a, 5, 1], &[0x0d, 1, 2], &[0x03], &[0x00, 1]] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }
}
