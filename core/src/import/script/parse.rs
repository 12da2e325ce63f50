//! Tokens → the tree of one file. What TorchScript's printer never writes is refused by its name.

mod expression;

use std::rc::Rc;

use super::ast::{Class, Expr, File, Function, Kind, Node, Statement, Target};
use super::lex::{self, Token};

/// Why code was refused: the line, and what stands there.
pub(super) type Refusal = (u32, String);

/// Deepest nesting of expressions and blocks together.
const DEPTH: usize = 64;
/// Words of Python that TorchScript does not print, or that cannot be followed.
const UNKNOWN: [&str; 17] = [
    "with", "try", "raise", "assert", "lambda", "yield", "import", "from", "global", "nonlocal", "del", "async",
    "await", "break", "continue", "except", "finally",
];

/// The tree of `text`.
///
/// # Errors
/// The line, and what cannot be read there.
pub(super) fn file(text: &str) -> Result<File, Refusal> {
    let tokens = lex::tokens(text)?;
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    let mut file = File::default();
    while *parser.peek() != lex::Kind::End {
        match parser.word() {
            Some("class") => file.classes.push(parser.class()?),
            Some("def") => file.functions.push(Rc::new(parser.function()?)),
            // Constants of the file, such as `op_version_set = 1`.
            _ => parser.skip_line(),
        }
    }
    Ok(file)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn class(&mut self) -> Result<Class, Refusal> {
        self.at += 1;
        let name = self.name()?;
        while !self.sees(":") {
            if matches!(self.peek(), lex::Kind::Newline | lex::Kind::End) {
                return Err(self.unexpected("a colon"));
            }
            self.at += 1;
        }
        self.sign(":")?;
        let mut methods = vec![];
        if !self.opens_block()? {
            return Ok(Class { name, methods });
        }
        while *self.peek() != lex::Kind::Dedent {
            match self.word() {
                Some("def") => methods.push(Rc::new(self.function()?)),
                _ if matches!(self.peek(), lex::Kind::End | lex::Kind::Indent) => {
                    return Err(self.unexpected("a method"));
                }
                _ => self.skip_line(),
            }
        }
        self.at += 1;
        Ok(Class { name, methods })
    }

    fn function(&mut self) -> Result<Function, Refusal> {
        self.at += 1;
        let name = self.name()?;
        self.sign("(")?;
        let mut parameters = vec![];
        while !self.accepts(")") {
            let name = self.name()?;
            if self.accepts(":") {
                self.annotation()?;
            }
            let default = if self.accepts("=") { Some(self.expression()?) } else { None };
            parameters.push((name, default));
            if !self.accepts(",") && !self.sees(")") {
                return Err(self.unexpected("a comma"));
            }
        }
        if self.accepts("->") {
            self.annotation()?;
        }
        let body = self.block()?;
        Ok(Function { name, parameters, body })
    }

    /// A colon, and the statements that it opens.
    fn block(&mut self) -> Result<Vec<Statement>, Refusal> {
        self.sign(":")?;
        self.deeper()?;
        let mut body = vec![];
        if self.opens_block()? {
            while *self.peek() != lex::Kind::Dedent {
                body.push(self.statement()?);
            }
            self.at += 1;
        }
        self.depth -= 1;
        Ok(body)
    }

    /// Whether an indented block follows the line's end.
    fn opens_block(&mut self) -> Result<bool, Refusal> {
        if *self.peek() != lex::Kind::Newline {
            return Err(self.unexpected("the end of the line"));
        }
        self.at += 1;
        let opens = *self.peek() == lex::Kind::Indent;
        self.at += usize::from(opens);
        Ok(opens)
    }

    fn statement(&mut self) -> Result<Statement, Refusal> {
        let line = self.line();
        let kind = match self.word() {
            Some("if") => return self.branch(),
            Some("for") => {
                self.at += 1;
                let target = self.targets()?;
                if self.word() != Some("in") {
                    return Err(self.unexpected("in"));
                }
                self.at += 1;
                let over = self.expression()?;
                Kind::For(target, over, self.block()?)
            }
            Some("while") => {
                self.at += 1;
                let condition = self.expression()?;
                Kind::While(condition, self.block()?)
            }
            Some("return") => {
                self.at += 1;
                let value = if *self.peek() == lex::Kind::Newline { None } else { Some(self.tuple()?) };
                self.ends_line(Kind::Return(value))?
            }
            Some("pass") => {
                self.at += 1;
                self.ends_line(Kind::Pass)?
            }
            Some(word) if UNKNOWN.contains(&word) => return Err((line, format!("{word:?} is not followed"))),
            _ => self.assignment()?,
        };
        Ok(Statement { line, kind })
    }

    fn branch(&mut self) -> Result<Statement, Refusal> {
        let line = self.line();
        self.at += 1;
        let condition = self.expression()?;
        let then = self.block()?;
        let other = match self.word() {
            Some("elif") => {
                self.deeper()?;
                let other = vec![self.branch()?];
                self.depth -= 1;
                other
            }
            Some("else") => {
                self.at += 1;
                self.block()?
            }
            _ => vec![],
        };
        Ok(Statement { line, kind: Kind::If(condition, then, other) })
    }

    fn assignment(&mut self) -> Result<Kind, Refusal> {
        let first = self.tuple()?;
        if self.accepts(":") {
            self.annotation()?;
        }
        let kind = if self.accepts("=") {
            let target = target(first)?;
            Kind::Assign(target, self.tuple()?)
        } else {
            Kind::Expr(first)
        };
        self.ends_line(kind)
    }

    fn targets(&mut self) -> Result<Target, Refusal> {
        let mut all = vec![target(self.primary()?)?];
        while self.accepts(",") {
            if self.word() != Some("in") {
                all.push(target(self.primary()?)?);
            }
        }
        Ok(if all.len() == 1 { all.remove(0) } else { Target::Many(all) })
    }

    /// A type: everything up to what may follow one.
    fn annotation(&mut self) -> Result<(), Refusal> {
        let mut open = 0usize;
        loop {
            match self.peek() {
                lex::Kind::Sign("(" | "[" | "{") => open += 1,
                lex::Kind::Sign(")" | "]" | "}") if open > 0 => open -= 1,
                lex::Kind::Sign("," | "=" | ")" | ":") if open == 0 => return Ok(()),
                lex::Kind::Newline if open == 0 => return Ok(()),
                lex::Kind::End | lex::Kind::Newline => return Err(self.unexpected("a type")),
                _ => {}
            }
            self.at += 1;
        }
    }

    fn ends_line(&mut self, kind: Kind) -> Result<Kind, Refusal> {
        if *self.peek() != lex::Kind::Newline {
            return Err(self.unexpected("the end of the line"));
        }
        self.at += 1;
        Ok(kind)
    }

    fn skip_line(&mut self) {
        while !matches!(self.peek(), lex::Kind::Newline | lex::Kind::End) {
            self.at += 1;
        }
        self.at += usize::from(*self.peek() == lex::Kind::Newline);
        // A block below it belongs to it.
        let mut open = 0usize;
        loop {
            match self.peek() {
                lex::Kind::Indent => open += 1,
                lex::Kind::Dedent if open > 0 => open -= 1,
                lex::Kind::End => return,
                _ if open == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn deeper(&mut self) -> Result<(), Refusal> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err((self.line(), format!("expressions and blocks nest deeper than {DEPTH}")));
        }
        Ok(())
    }

    fn name(&mut self) -> Result<Rc<str>, Refusal> {
        let lex::Kind::Name(name) = self.peek() else { return Err(self.unexpected("a name")) };
        let name = Rc::clone(name);
        self.at += 1;
        Ok(name)
    }

    /// The name here.
    fn word(&self) -> Option<&str> {
        if let lex::Kind::Name(name) = self.peek() { Some(name) } else { None }
    }

    fn sees(&self, sign: &str) -> bool {
        matches!(self.peek(), lex::Kind::Sign(found) if *found == sign)
    }

    fn accepts(&mut self, sign: &str) -> bool {
        let found = self.sees(sign);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &str) -> Result<(), Refusal> {
        if self.accepts(sign) { Ok(()) } else { Err(self.unexpected(&format!("{sign:?}"))) }
    }

    /// The token here; the last one, `End`, is never passed.
    fn peek(&self) -> &lex::Kind {
        &self.tokens[self.at.min(self.tokens.len() - 1)].kind
    }

    fn line(&self) -> u32 {
        self.tokens[self.at.min(self.tokens.len() - 1)].line
    }

    fn unexpected(&self, wanted: &str) -> Refusal {
        let found = match self.peek() {
            lex::Kind::Name(name) => format!("{:?}", name.chars().take(40).collect::<String>()),
            lex::Kind::Int(n) => n.to_string(),
            lex::Kind::Float(x) => x.to_string(),
            lex::Kind::Text(_) => "a string".into(),
            lex::Kind::Sign(sign) => format!("{sign:?}"),
            lex::Kind::Newline => "the end of the line".into(),
            lex::Kind::Indent | lex::Kind::Dedent => "another indentation".into(),
            lex::Kind::End => "the end of the file".into(),
        };
        (self.line(), format!("{found} stands where {wanted} is needed"))
    }
}

fn target(expr: Expr) -> Result<Target, Refusal> {
    match expr.node {
        Node::Name(name) => Ok(Target::Name(name)),
        Node::Attribute(object, name) => Ok(Target::Attribute(*object, name)),
        Node::Tuple(all) | Node::List(all) => all.into_iter().map(target).collect::<Result<_, _>>().map(Target::Many),
        _ => Err((expr.line, "assigns to something that is neither a name nor an attribute".into())),
    }
}
