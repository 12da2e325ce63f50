//! Text → tokens, with Python's rule of indentation.

use std::rc::Rc;

/// A token and its line, from 1.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) line: u32,
    pub(super) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Name(Rc<str>),
    Int(i64),
    Float(f64),
    Text(Rc<str>),
    /// Punctuation.
    Sign(&'static str),
    Newline,
    Indent,
    Dedent,
    End,
}

/// Deepest indentation, in blocks.
const BLOCKS: usize = 64;
/// Punctuation, longest first.
const SIGNS: [&str; 27] = [
    "->", "**", "//", "==", "!=", "<=", ">=", "(", ")", "[", "]", "{", "}", ",", ":", ".", "=", "+", "-", "*", "/",
    "%", "<", ">", "@", "|", "&",
];

/// The tokens of `text`.
///
/// # Errors
/// The line, and what no token begins with.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, (u32, String)> {
    let mut lexer = Lexer { text, at: 0, line: 1, open: 0, indents: vec![0], tokens: vec![] };
    while lexer.at < text.len() {
        lexer.line()?;
    }
    for _ in 1..lexer.indents.len() {
        lexer.push(Kind::Dedent);
    }
    lexer.push(Kind::End);
    Ok(lexer.tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
    /// Brackets that are open: line ends within them count for nothing.
    open: usize,
    /// Columns of the open blocks.
    indents: Vec<usize>,
    tokens: Vec<Token>,
}

impl<'a> Lexer<'a> {
    /// One logical line, or an empty one.
    fn line(&mut self) -> Result<(), (u32, String)> {
        let column = self.spaces();
        match self.peek() {
            None => return Ok(()),
            Some(b'\n' | b'\r' | b'#') => {
                self.skip_line();
                return Ok(());
            }
            Some(_) => self.indent(column)?,
        }
        loop {
            self.spaces();
            match self.peek() {
                None => break,
                Some(b'#') => self.skip_comment(),
                Some(b'\r') => self.at += 1,
                Some(b'\n') => {
                    self.at += 1;
                    self.line += 1;
                    if self.open == 0 {
                        break;
                    }
                }
                Some(b'\\') if self.text.as_bytes().get(self.at + 1) == Some(&b'\n') => {
                    self.at += 2;
                    self.line += 1;
                }
                Some(byte) => self.token(byte)?,
            }
        }
        self.push(Kind::Newline);
        Ok(())
    }

    fn indent(&mut self, column: usize) -> Result<(), (u32, String)> {
        if column > *self.indents.last().unwrap_or(&0) {
            if self.indents.len() > BLOCKS {
                return Err((self.line, format!("blocks nest deeper than {BLOCKS}")));
            }
            self.indents.push(column);
            self.push(Kind::Indent);
        }
        while column < *self.indents.last().unwrap_or(&0) {
            self.indents.pop();
            self.push(Kind::Dedent);
        }
        if column != *self.indents.last().unwrap_or(&0) {
            return Err((self.line, "its indentation fits no block".into()));
        }
        Ok(())
    }

    fn token(&mut self, byte: u8) -> Result<(), (u32, String)> {
        let rest = self.rest();
        let digit_follows = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if byte.is_ascii_digit() || (byte == b'.' && digit_follows) {
            return self.number();
        }
        if byte == b'"' || byte == b'\'' {
            return self.string(byte);
        }
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let name: usize = rest.chars().take_while(|&c| is_name(c)).map(char::len_utf8).sum();
        if name > 0 {
            self.at += name;
            self.push(Kind::Name(rest[..name].into()));
            return Ok(());
        }
        let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) else {
            let found: String = rest.chars().take(1).collect();
            return Err((self.line, format!("{found:?} begins nothing that TorchScript writes")));
        };
        match *sign {
            "(" | "[" | "{" => self.open += 1,
            ")" | "]" | "}" => self.open = self.open.saturating_sub(1),
            _ => {}
        }
        self.at += sign.len();
        self.push(Kind::Sign(sign));
        Ok(())
    }

    fn number(&mut self) -> Result<(), (u32, String)> {
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let mut len = 0;
        while len < bytes.len() {
            let exponent = matches!(bytes[len], b'+' | b'-') && len > 0 && matches!(bytes[len - 1], b'e' | b'E');
            if !(bytes[len].is_ascii_alphanumeric() || bytes[len] == b'.' || exponent) {
                break;
            }
            len += 1;
        }
        let text = &rest[..len];
        self.at += len;
        let kind = if text.bytes().all(|b| b.is_ascii_digit()) {
            text.parse().ok().map(Kind::Int)
        } else {
            text.parse().ok().map(Kind::Float)
        };
        let clipped: String = text.chars().take(40).collect();
        self.push(kind.ok_or_else(|| (self.line, format!("{clipped:?} is no number of 64 bits")))?);
        Ok(())
    }

    fn string(&mut self, quote: u8) -> Result<(), (u32, String)> {
        let line = self.line;
        self.at += 1;
        let mut text = String::new();
        loop {
            let Some(c) = self.rest().chars().next() else { return Err((line, "a string without an end".into())) };
            self.at += c.len_utf8();
            match c {
                _ if u32::from(c) == u32::from(quote) => break,
                '\n' => return Err((line, "a string without an end".into())),
                '\\' => {
                    let Some(escaped) = self.rest().chars().next() else { continue };
                    self.at += escaped.len_utf8();
                    text.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        other => other,
                    });
                }
                _ => text.push(c),
            }
        }
        self.push(Kind::Text(text.into()));
        Ok(())
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn spaces(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.at - from
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.at += 1;
        }
    }

    fn skip_line(&mut self) {
        self.skip_comment();
        self.at = (self.at + 1).min(self.text.len());
        self.line += 1;
    }

    fn push(&mut self, kind: Kind) {
        self.tokens.push(Token { line: self.line, kind });
    }
}
