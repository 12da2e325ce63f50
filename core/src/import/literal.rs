//! Literals of Python's grammar, as gin configurations and TorchScript's constants write them, with gin's references
//! and macros.

/// Deepest nesting of brackets.
const DEPTH: usize = 32;

/// A literal as written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Literal>),
    Dict(Vec<(Literal, Literal)>),
    /// `@name`, without `@` and any `()`.
    Reference(String),
    /// `%name`, without `%`.
    Macro(String),
}

/// Reads one literal at the start of `text`; returns it and what follows.
///
/// # Errors
/// The reason, and what is left of `text` where it stopped.
pub(super) fn parse(text: &str) -> Result<(Literal, &str), (String, &str)> {
    let mut parser = Parser { rest: text };
    match parser.literal(0) {
        Ok(literal) => Ok((literal, parser.rest)),
        Err(reason) => Err((reason, parser.rest)),
    }
}

struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn literal(&mut self, depth: usize) -> Result<Literal, String> {
        if depth > DEPTH {
            return Err(format!("brackets nest deeper than {DEPTH}"));
        }
        match self.rest.chars().next() {
            None => Err("a value is missing".to_owned()),
            Some('[') => self.sequence(']', depth).map(|(items, _)| Literal::List(items)),
            // Parentheses without a comma only group.
            Some('(') => self.sequence(')', depth).map(|(mut items, comma)| match (items.len(), comma) {
                (1, false) => items.remove(0),
                _ => Literal::List(items),
            }),
            Some('{') => self.dict(depth),
            Some('@') => {
                self.skip(1);
                let name = self.name()?;
                self.eat("()");
                Ok(Literal::Reference(name))
            }
            Some('%') => {
                self.skip(1);
                self.name().map(Literal::Macro)
            }
            Some('"' | '\'') => self.texts(),
            Some(c) if c.is_ascii_digit() || matches!(c, '+' | '-' | '.') => self.number(),
            Some(_) => self.word(),
        }
    }

    /// Items up to `close`, and whether a comma follows the last.
    fn sequence(&mut self, close: char, depth: usize) -> Result<(Vec<Literal>, bool), String> {
        self.skip(1);
        let (mut items, mut comma) = (Vec::new(), true);
        loop {
            self.space();
            if let Some(rest) = self.rest.strip_prefix(close) {
                self.rest = rest;
                return Ok((items, comma));
            }
            if !comma {
                return Err(format!("`,` or `{close}` is missing"));
            }
            items.push(self.literal(depth + 1)?);
            self.space();
            comma = self.eat(",");
        }
    }

    fn dict(&mut self, depth: usize) -> Result<Literal, String> {
        self.skip(1);
        let mut entries = Vec::new();
        loop {
            self.space();
            if self.eat("}") {
                return Ok(Literal::Dict(entries));
            }
            let key = self.literal(depth + 1)?;
            self.space();
            if !self.eat(":") {
                return Err("`:` is missing".to_owned());
            }
            self.space();
            entries.push((key, self.literal(depth + 1)?));
            self.space();
            if !self.eat(",") && !self.rest.starts_with('}') {
                return Err("`,` or `}` is missing".to_owned());
            }
        }
    }

    /// A string; several in a row are one.
    fn texts(&mut self) -> Result<Literal, String> {
        let mut text = String::new();
        while self.rest.starts_with(['"', '\'']) {
            self.text(&mut text)?;
            let here = self.rest;
            self.space();
            if !self.rest.starts_with(['"', '\'']) {
                self.rest = here;
            }
        }
        Ok(Literal::Text(text))
    }

    fn text(&mut self, text: &mut String) -> Result<(), String> {
        let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| self.rest.starts_with(q)).unwrap_or("'");
        self.skip(quote.len());
        loop {
            if self.eat(quote) {
                return Ok(());
            }
            let Some(c) = self.rest.chars().next() else { return Err("a string without end".to_owned()) };
            if c == '\n' && quote.len() == 1 {
                return Err("a string without end".to_owned());
            }
            self.skip(c.len_utf8());
            match c {
                '\\' => self.escape(text)?,
                c => text.push(c),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, text: &mut String) -> Result<(), String> {
        let Some(c) = self.rest.chars().next() else { return Err("a string without end".to_owned()) };
        self.skip(c.len_utf8());
        match c {
            'n' => text.push('\n'),
            't' => text.push('\t'),
            'r' => text.push('\r'),
            '\n' => {}
            '\\' | '\'' | '"' => text.push(c),
            'x' => text.push(self.code(2)?),
            'u' => text.push(self.code(4)?),
            'U' => text.push(self.code(8)?),
            '0'..='7' => {
                let octal = self.rest.bytes().take(2).take_while(|b| (b'0'..=b'7').contains(b)).count();
                let value = self.rest[..octal].bytes().fold(c as u32 - 48, |n, b| 8 * n + u32::from(b - b'0'));
                self.skip(octal);
                text.push(char::from_u32(value).unwrap_or('\u{fffd}'));
            }
            c => text.extend(['\\', c]),
        }
        Ok(())
    }

    /// The character of so many hexadecimal digits.
    fn code(&mut self, digits: usize) -> Result<char, String> {
        let hex = self.rest.get(..digits).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let code = hex.and_then(|hex| char::from_u32(u32::from_str_radix(hex, 16).ok()?));
        let Some(c) = code else { return Err(format!("an escape without {digits} hexadecimal digits of a character")) };
        self.skip(digits);
        Ok(c)
    }

    fn number(&mut self) -> Result<Literal, String> {
        // `e-7` belongs to the number, `1-7` does not occur.
        let len = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_')));
        let word = &self.rest[..len.unwrap_or(self.rest.len())];
        let digits = word.replace('_', "");
        let number = match (digits.parse::<i64>(), digits.parse::<f64>()) {
            (Ok(int), _) => Literal::Int(int),
            (_, Ok(float)) => Literal::Float(float),
            _ => return Err("not a number".to_owned()),
        };
        self.skip(word.len());
        Ok(number)
    }

    fn word(&mut self) -> Result<Literal, String> {
        let len = self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let word = &self.rest[..len.unwrap_or(self.rest.len())];
        let value = match word {
            "None" => Literal::None,
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            "inf" => Literal::Float(f64::INFINITY),
            "nan" => Literal::Float(f64::NAN),
            _ => return Err("not a literal".to_owned()),
        };
        self.skip(word.len());
        Ok(value)
    }

    fn name(&mut self) -> Result<String, String> {
        let len = self.rest.find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '/')));
        let name = &self.rest[..len.unwrap_or(self.rest.len())];
        if name.is_empty() {
            return Err("a name is missing".to_owned());
        }
        self.skip(name.len());
        Ok(name.to_owned())
    }

    /// Skips white space, line ends, escaped line ends and comments.
    fn space(&mut self) {
        loop {
            let start = self.rest.len();
            self.rest = self.rest.trim_start();
            self.eat("\\\n");
            if self.rest.starts_with('#') {
                self.skip(self.rest.find('\n').unwrap_or(self.rest.len()));
            }
            if self.rest.len() == start {
                return;
            }
        }
    }

    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }
}
