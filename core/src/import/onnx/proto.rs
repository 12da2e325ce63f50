//! The messages of an ONNX file that matter here, as their schema (onnx.proto3) numbers them. Texts and values stay in
//! the file's bytes; subgraphs are read when a node asks for them.

use super::wire::{Field, Message};
use crate::import::ImportError;

/// The whole file.
#[derive(Debug, Default)]
pub(super) struct Model<'a> {
    pub(super) producer: &'a str,
    /// Version of the standard operators.
    pub(super) opset: i64,
    pub(super) graph: Option<Message<'a>>,
    pub(super) metadata: Vec<(&'a str, &'a str)>,
    pub(super) functions: Vec<Function<'a>>,
}

/// A graph: the model's, or one that an attribute holds.
#[derive(Debug, Default)]
pub(super) struct Graph<'a> {
    pub(super) nodes: Vec<Node<'a>>,
    pub(super) initializers: Vec<Tensor<'a>>,
    pub(super) inputs: Vec<Port<'a>>,
    pub(super) outputs: Vec<&'a str>,
}

/// An input of a graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Port<'a> {
    pub(super) name: &'a str,
    /// Size or name of each dimension.
    pub(super) shape: Option<Vec<Size<'a>>>,
}

/// One dimension of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Size<'a> {
    Known(i64),
    /// Named, or empty.
    Open(&'a str),
}

/// One operator of a graph.
#[derive(Clone, Debug, Default)]
pub(super) struct Node<'a> {
    pub(super) name: &'a str,
    pub(super) op: &'a str,
    pub(super) domain: &'a str,
    pub(super) overload: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// A named setting of a node.
#[derive(Clone, Debug, Default)]
pub(in crate::import) struct Attribute<'a> {
    pub(in crate::import) name: &'a str,
    /// The function's attribute that this one takes its value from.
    pub(in crate::import) reference: &'a str,
    pub(in crate::import) float: Option<f32>,
    pub(in crate::import) int: Option<i64>,
    pub(in crate::import) text: Option<&'a [u8]>,
    pub(in crate::import) tensor: Option<Message<'a>>,
    pub(in crate::import) graph: Option<Message<'a>>,
    pub(in crate::import) floats: Vec<f32>,
    pub(in crate::import) ints: Vec<i64>,
    pub(in crate::import) texts: Vec<&'a [u8]>,
}

/// A tensor, its values still as the file has them.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensor<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<i64>,
    pub(super) kind: i64,
    pub(super) raw: Option<&'a [u8]>,
    pub(super) typed: Vec<Field<'a>>,
    /// Keys and values that name another file, where the values lie there.
    pub(super) external: Option<Vec<(&'a str, &'a str)>>,
}

/// A function that nodes may name as their operator.
#[derive(Debug, Default)]
pub(super) struct Function<'a> {
    pub(super) name: &'a str,
    pub(super) domain: &'a str,
    pub(super) overload: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) defaults: Vec<Attribute<'a>>,
    pub(super) nodes: Vec<Node<'a>>,
}

impl<'a> Model<'a> {
    /// The file that `bytes` are.
    ///
    /// # Errors
    /// When they are no protocol buffer of this schema.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, ImportError> {
        let mut model = Self::default();
        for field in Message::new(bytes).fields() {
            let field = field?;
            match field.number {
                2 => model.producer = field.text()?,
                7 => model.graph = Some(field.message()?),
                8 => {
                    let (mut domain, mut version) = ("", 0);
                    for field in field.message()?.fields() {
                        let field = field?;
                        match field.number {
                            1 => domain = field.text()?,
                            2 => version = field.int()?,
                            _ => {}
                        }
                    }
                    if matches!(domain, "" | "ai.onnx") {
                        model.opset = version;
                    }
                }
                14 => model.metadata.push(pair(field)?),
                25 => model.functions.push(Function::read(field.message()?)?),
                _ => {}
            }
        }
        Ok(model)
    }
}

impl<'a> Graph<'a> {
    pub(super) fn read(message: Message<'a>) -> Result<Self, ImportError> {
        let mut graph = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => graph.nodes.push(Node::read(field.message()?)?),
                5 => graph.initializers.push(Tensor::read(field.message()?)?),
                11 => graph.inputs.push(Port::read(field.message()?)?),
                12 => graph.outputs.push(Port::read(field.message()?)?.name),
                15 => {
                    let cure = "export the model with dense weights";
                    return Err(ImportError::unknown("the file holds sparse weights", cure));
                }
                _ => {}
            }
        }
        Ok(graph)
    }
}

impl<'a> Port<'a> {
    fn read(message: Message<'a>) -> Result<Self, ImportError> {
        let mut port = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => port.name = field.text()?,
                2 => port.shape = shape(field.message()?)?,
                _ => {}
            }
        }
        Ok(port)
    }
}

/// The shape in a type: `tensor_type.shape`.
fn shape(kind: Message<'_>) -> Result<Option<Vec<Size<'_>>>, ImportError> {
    let Some(tensor) = last(kind, 1)? else { return Ok(None) };
    let Some(shape) = last(tensor, 2)? else { return Ok(None) };
    let mut sizes = vec![];
    for field in shape.fields() {
        let field = field?;
        if field.number == 1 {
            let mut size = Size::Open("");
            for field in field.message()?.fields() {
                let field = field?;
                match field.number {
                    1 => size = Size::Known(field.int()?),
                    2 => size = Size::Open(field.text()?),
                    _ => {}
                }
            }
            sizes.push(size);
        }
    }
    Ok(Some(sizes))
}

fn last(message: Message<'_>, number: u32) -> Result<Option<Message<'_>>, ImportError> {
    let mut found = None;
    for field in message.fields() {
        let field = field?;
        if field.number == number {
            found = Some(field.message()?);
        }
    }
    Ok(found)
}

impl<'a> Node<'a> {
    fn read(message: Message<'a>) -> Result<Self, ImportError> {
        let mut node = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => node.inputs.push(field.text()?),
                2 => node.outputs.push(field.text()?),
                3 => node.name = field.text()?,
                4 => node.op = field.text()?,
                5 => node.attributes.push(Attribute::read(field.message()?)?),
                7 => node.domain = field.text()?,
                8 => node.overload = field.text()?,
                _ => {}
            }
        }
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn read(message: Message<'a>) -> Result<Self, ImportError> {
        let mut attribute = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => attribute.name = field.text()?,
                2 => attribute.float = Some(field.float()?),
                3 => attribute.int = Some(field.int()?),
                4 => attribute.text = Some(field.message()?.bytes()),
                5 => attribute.tensor = Some(field.message()?),
                6 => attribute.graph = Some(field.message()?),
                7 => field.floats(&mut attribute.floats)?,
                8 => field.ints(&mut attribute.ints)?,
                9 => attribute.texts.push(field.message()?.bytes()),
                21 => attribute.reference = field.text()?,
                _ => {}
            }
        }
        Ok(attribute)
    }
}

impl<'a> Tensor<'a> {
    pub(super) fn read(message: Message<'a>) -> Result<Self, ImportError> {
        let mut tensor = Self::default();
        let (mut external, mut elsewhere) = (vec![], false);
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => field.ints(&mut tensor.dims)?,
                2 => tensor.kind = field.int()?,
                4 | 5 | 7 | 10 | 11 => tensor.typed.push(field),
                8 => tensor.name = field.text()?,
                9 => tensor.raw = Some(field.message()?.bytes()),
                13 => external.push(pair(field)?),
                14 => elsewhere = field.int()? == 1,
                _ => {}
            }
        }
        tensor.external = elsewhere.then_some(external);
        Ok(tensor)
    }
}

impl<'a> Function<'a> {
    fn read(message: Message<'a>) -> Result<Self, ImportError> {
        let mut function = Self::default();
        for field in message.fields() {
            let field = field?;
            match field.number {
                1 => function.name = field.text()?,
                4 => function.inputs.push(field.text()?),
                5 => function.outputs.push(field.text()?),
                7 => function.nodes.push(Node::read(field.message()?)?),
                10 => function.domain = field.text()?,
                11 => function.defaults.push(Attribute::read(field.message()?)?),
                13 => function.overload = field.text()?,
                _ => {}
            }
        }
        Ok(function)
    }
}

/// A `StringStringEntryProto`.
fn pair(field: Field<'_>) -> Result<(&str, &str), ImportError> {
    let (mut key, mut value) = ("", "");
    for field in field.message()?.fields() {
        let field = field?;
        match field.number {
            1 => key = field.text()?,
            2 => value = field.text()?,
            _ => {}
        }
    }
    Ok((key, value))
}
