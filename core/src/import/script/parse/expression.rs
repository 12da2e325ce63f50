//! Expressions, by precedence.

use std::rc::Rc;

use super::super::ast::{Expr, Node};
use super::super::lex;
use super::{DEPTH, Parser, Refusal, UNKNOWN};

impl Parser {
    /// One expression, or several with commas between, or one with a comma after it.
    pub(super) fn tuple(&mut self) -> Result<Expr, Refusal> {
        let first = self.expression()?;
        if !self.sees(",") {
            return Ok(first);
        }
        let line = first.line;
        let mut all = vec![first];
        while self.accepts(",") {
            if self.sees("=") || *self.peek() == lex::Kind::Newline {
                break;
            }
            all.push(self.expression()?);
        }
        Ok(Expr { line, node: Node::Tuple(all) })
    }

    pub(super) fn expression(&mut self) -> Result<Expr, Refusal> {
        self.deeper()?;
        let value = self.binary(0)?;
        let value = if self.word() == Some("if") {
            self.at += 1;
            let condition = self.binary(0)?;
            if self.word() != Some("else") {
                return Err(self.unexpected("else"));
            }
            self.at += 1;
            let other = self.expression()?;
            Expr { line: value.line, node: Node::Choice(Box::new([condition, value, other])) }
        } else {
            value
        };
        self.depth -= 1;
        Ok(value)
    }

    /// Operators that bind as tightly as `level`, or tighter.
    fn binary(&mut self, level: usize) -> Result<Expr, Refusal> {
        let mut left = self.unary()?;
        let mut links = 0;
        while let Some((binds, name, words)) = self.operator() {
            if binds < level {
                break;
            }
            links += 1;
            self.chained(links)?;
            self.at += words;
            self.deeper()?;
            let right = self.binary(binds + 1)?;
            self.depth -= 1;
            left = Expr { line: left.line, node: Node::Operator(name, vec![left, right]) };
        }
        Ok(left)
    }

    /// The operator here: how tightly it binds, its name, and how many tokens it has.
    fn operator(&self) -> Option<(usize, &'static str, usize)> {
        let following = self.tokens.get(self.at + 1).map(|token| &token.kind);
        let follows = |word: &str| matches!(following, Some(lex::Kind::Name(name)) if **name == *word);
        Some(match self.peek() {
            lex::Kind::Name(name) => match &**name {
                "or" => (0, "__or__", 1),
                "and" => (1, "__and__", 1),
                "is" if follows("not") => (3, "__isnot__", 2),
                "is" => (3, "__is__", 1),
                _ => return None,
            },
            lex::Kind::Sign(sign) => match *sign {
                "==" => (3, "eq", 1),
                "!=" => (3, "ne", 1),
                "<" => (3, "lt", 1),
                ">" => (3, "gt", 1),
                "<=" => (3, "le", 1),
                ">=" => (3, "ge", 1),
                "|" => (4, "__or__", 1),
                "&" => (5, "__and__", 1),
                "+" => (6, "add", 1),
                "-" => (6, "sub", 1),
                "*" => (7, "mul", 1),
                "/" => (7, "div", 1),
                "//" => (7, "floordiv", 1),
                "%" => (7, "remainder", 1),
                "@" => (7, "matmul", 1),
                "**" => (9, "pow", 1),
                _ => return None,
            },
            _ => return None,
        })
    }

    fn unary(&mut self) -> Result<Expr, Refusal> {
        let line = self.line();
        let (name, binds) = match (self.word(), self.sees("-")) {
            (Some("not"), _) => ("__not__", 2),
            (_, true) => ("neg", 8),
            _ => return self.primary(),
        };
        self.at += 1;
        self.deeper()?;
        let value = self.binary(binds)?;
        self.depth -= 1;
        Ok(match (name, value.node) {
            ("neg", Node::Int(n)) => Expr { line, node: Node::Int(-n) },
            ("neg", Node::Float(x)) => Expr { line, node: Node::Float(-x) },
            (name, node) => Expr { line, node: Node::Operator(name, vec![Expr { line, node }]) },
        })
    }

    pub(super) fn primary(&mut self) -> Result<Expr, Refusal> {
        let mut value = self.atom()?;
        let mut links = 0;
        loop {
            let line = self.line();
            let node = if self.accepts(".") {
                Node::Attribute(Box::new(value), self.name()?)
            } else if self.accepts("[") {
                let index = self.items("]")?;
                let line = value.line;
                let index = match index {
                    (mut one, false) if one.len() == 1 => one.remove(0),
                    (many, _) => Expr { line, node: Node::Tuple(many) },
                };
                Node::Index(Box::new(value), Box::new(index))
            } else if self.accepts("(") {
                let (arguments, named) = self.arguments()?;
                Node::Call(Box::new(value), arguments, named)
            } else {
                return Ok(value);
            };
            links += 1;
            self.chained(links)?;
            value = Expr { line, node };
        }
    }

    fn atom(&mut self) -> Result<Expr, Refusal> {
        let line = self.line();
        let node = match self.peek().clone() {
            lex::Kind::Name(name) => match &*name {
                "None" => Node::None,
                "True" => Node::Bool(true),
                "False" => Node::Bool(false),
                word if UNKNOWN.contains(&word) => return Err((line, format!("{word:?} is not followed"))),
                _ => Node::Name(name),
            },
            lex::Kind::Int(n) => Node::Int(n),
            lex::Kind::Float(x) => Node::Float(x),
            lex::Kind::Text(text) => Node::Text(text),
            lex::Kind::Sign(open @ ("(" | "[" | "{")) => {
                self.at += 1;
                return self.bracketed(open, line);
            }
            _ => return Err(self.unexpected("a value")),
        };
        self.at += 1;
        Ok(Expr { line, node })
    }

    fn bracketed(&mut self, open: &str, line: u32) -> Result<Expr, Refusal> {
        let node = match open {
            "[" => Node::List(self.items("]")?.0),
            "(" => match self.items(")")? {
                (mut one, false) if one.len() == 1 => return Ok(one.remove(0)),
                (many, _) => Node::Tuple(many),
            },
            _ => {
                while !self.accepts("}") {
                    self.expression()?;
                    self.sign(":")?;
                    self.expression()?;
                    if !self.accepts(",") && !self.sees("}") {
                        return Err(self.unexpected("a comma"));
                    }
                }
                Node::Dict
            }
        };
        Ok(Expr { line, node })
    }

    /// Expressions until `close`, and whether a comma stood among them.
    fn items(&mut self, close: &'static str) -> Result<(Vec<Expr>, bool), Refusal> {
        let (mut items, mut comma) = (vec![], false);
        while !self.accepts(close) {
            items.push(self.expression()?);
            if self.accepts(",") {
                comma = true;
            } else if !self.sees(close) {
                return Err(self.unexpected("a comma"));
            }
        }
        Ok((items, comma))
    }

    #[allow(clippy::type_complexity, reason = "both halves of one list of arguments")]
    fn arguments(&mut self) -> Result<(Vec<Expr>, Vec<(Rc<str>, Expr)>), Refusal> {
        let (mut plain, mut named) = (vec![], vec![]);
        while !self.accepts(")") {
            let is_named = self.tokens.get(self.at + 1).is_some_and(|token| token.kind == lex::Kind::Sign("="));
            if is_named {
                let name = self.name()?;
                self.sign("=")?;
                named.push((name, self.expression()?));
            } else {
                plain.push(self.expression()?);
            }
            if !self.accepts(",") && !self.sees(")") {
                return Err(self.unexpected("a comma"));
            }
        }
        Ok((plain, named))
    }

    fn chained(&self, links: usize) -> Result<(), Refusal> {
        if links > DEPTH {
            return Err((self.line(), format!("a chain of more than {DEPTH} names, calls or operators")));
        }
        Ok(())
    }
}
