//! Puts a module's functions into the order that compresses best.
//!
//! What generics are compiled to is much the same function many times. A compressor speaks of bytes it has seen by how far
//! back they are, so functions that are alike belong beside each other, and those that are the same need to be there once.
//! Their names are not shipped; they are kept, since a report of a fault names functions by their numbers alone.

use anyhow::{Context as _, bail};
use std::collections::HashMap;
use wasm_encoder::reencode::{Error, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionBody, FunctionSectionReader, KnownCustom, Name, Parser,
    Payload, TypeRef,
};

#[derive(Debug)]
pub struct Settled {
    pub module: Vec<u8>,
    /// Each function's number in the module, and a name that it had; more than one where several came to the same.
    pub names: Vec<(u32, String)>,
}

/// The module with each of its functions once, in the order of their bytes, without their names.
pub fn settle(module: &[u8]) -> anyhow::Result<Settled> {
    let mut settled = Settled {
        names: names(module)?,
        module: module.to_vec(),
    };
    // Functions that differ only by which of two same functions they call become the same by that.
    loop {
        let merged = Order::of(&settled.module, Kind::AsTheyCome)?;
        if merged.order.len() == merged.place.len() {
            break;
        }
        settled = merged.apply(settled)?;
    }
    let mut settled = Order::of(&settled.module, Kind::Alike)?.apply(settled)?;
    settled.names.sort();
    Ok(settled)
}

/// The names that a module's functions go by.
fn names(module: &[u8]) -> anyhow::Result<Vec<(u32, String)>> {
    let mut names = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        let Payload::CustomSection(section) = payload.context("reading the module")? else {
            continue;
        };
        let KnownCustom::Name(section) = section.as_known() else {
            continue;
        };
        for part in section {
            let Name::Function(functions) = part? else {
                continue;
            };
            for function in functions {
                let function = function?;
                names.push((function.index, function.name.to_owned()));
            }
        }
    }
    Ok(names)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    AsTheyCome,
    Alike,
}

/// Which functions stay, and where each is found afterwards.
struct Order {
    imported: u32,
    /// The functions that stay, by their old places, in their new order.
    order: Vec<usize>,
    /// The new place of each old function.
    place: Vec<u32>,
}

impl Order {
    fn of(module: &[u8], kind: Kind) -> anyhow::Result<Self> {
        let functions = Functions::read(module)?;
        let mut first = HashMap::new();
        let mut order = Vec::new();
        // Of each function, the one that stands for it.
        let stands: Vec<usize> = (functions.bodies.iter().zip(&functions.types).enumerate())
            .map(|(index, (body, kind))| {
                *first.entry((kind, *body)).or_insert_with(|| {
                    order.push(index);
                    index
                })
            })
            .collect();
        if kind == Kind::Alike {
            order.sort_by_key(|index| functions.bodies.get(*index));
        }
        let places: HashMap<usize, u32> = order.iter().copied().zip(0_u32..).collect();
        let place = stands.iter().map(|index| places.get(index).copied());
        Ok(Self {
            imported: functions.imported,
            place: place.collect::<Option<_>>().context("a function has no place")?,
            order,
        })
    }

    fn apply(mut self, before: Settled) -> anyhow::Result<Settled> {
        let mut module = Module::new();
        self.parse_core_module(&mut module, Parser::new(0), &before.module)
            .map_err(told)?;
        let mut names = before.names;
        for (function, _) in &mut names {
            *function = self.function_index(*function).map_err(told)?;
        }
        Ok(Settled {
            module: module.finish(),
            names,
        })
    }
}

fn told(error: Error<anyhow::Error>) -> anyhow::Error {
    anyhow::anyhow!("putting functions in order: {error}")
}

impl Reencode for Order {
    type Error = anyhow::Error;

    fn function_index(&mut self, function: u32) -> Result<u32, Error<Self::Error>> {
        let Some(own) = function.checked_sub(self.imported) else {
            return Ok(function);
        };
        let place = usize::try_from(own).ok().and_then(|own| self.place.get(own));
        place
            .map(|place| self.imported + place)
            .ok_or_else(|| Error::UserError(anyhow::anyhow!("there is no function {function}")))
    }

    fn parse_custom_section(
        &mut self,
        module: &mut Module,
        section: CustomSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        if !matches!(section.as_known(), KnownCustom::Name(_)) {
            module.section(&self.custom_section(section)?);
        }
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let types: Vec<u32> = section.into_iter().collect::<Result<_, _>>()?;
        for kind in self.order.iter().filter_map(|index| types.get(*index)) {
            functions.function(*kind);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), Error<Self::Error>> {
        let bodies: Vec<FunctionBody<'_>> = section.into_iter().collect::<Result<_, _>>()?;
        let order = self.order.clone();
        for body in order.iter().filter_map(|index| bodies.get(*index)) {
            self.parse_function_body(code, body.clone())?;
        }
        Ok(())
    }
}

/// The functions that a module defines.
struct Functions<'a> {
    imported: u32,
    types: Vec<u32>,
    bodies: Vec<&'a [u8]>,
}

impl<'a> Functions<'a> {
    fn read(module: &'a [u8]) -> anyhow::Result<Self> {
        let mut functions = Self {
            imported: 0,
            types: Vec::new(),
            bodies: Vec::new(),
        };
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.context("reading the module")?;
            if let Payload::ImportSection(imports) = payload {
                for import in imports.into_imports() {
                    let is_function = matches!(import?.ty, TypeRef::Func(_) | TypeRef::FuncExact(_));
                    functions.imported += u32::from(is_function);
                }
            } else if let Payload::FunctionSection(types) = payload {
                functions.types = types.into_iter().collect::<Result<_, _>>()?;
            } else if let Payload::CodeSectionEntry(body) = payload {
                functions.bodies.push(body.as_bytes());
            }
        }
        if functions.types.len() != functions.bodies.len() {
            bail!(
                "the module declares {} functions and has {}",
                functions.types.len(),
                functions.bodies.len()
            );
        }
        Ok(functions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        ExportKind, ExportSection, Function, Instruction, NameMap, NameSection, TypeSection, ValType,
    };
    use wasmparser::Operator;

    /// A module whose functions answer with a number, or with what another function answers.
    fn module(bodies: &[Instruction<'_>], exported: &[(&str, u32)]) -> Vec<u8> {
        let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
        let (mut code, mut exports) = (CodeSection::new(), ExportSection::new());
        types.ty().function([], [ValType::I32]);
        for body in bodies {
            functions.function(0);
            let mut function = Function::new([]);
            function.instruction(body).instruction(&Instruction::End);
            code.function(&function);
        }
        for (name, index) in exported {
            exports.export(name, ExportKind::Func, *index);
        }
        let mut module = Module::new();
        module
            .section(&types)
            .section(&functions)
            .section(&exports)
            .section(&code)
            .section(&named(exported));
        module.finish()
    }

    /// Functions are called as they are exported.
    fn named(exported: &[(&str, u32)]) -> NameSection {
        let (mut section, mut map) = (NameSection::new(), NameMap::new());
        for (name, index) in exported {
            map.append(*index, name);
        }
        section.functions(&map);
        section
    }

    /// What the function answers that goes by this name.
    fn answer(module: &[u8], name: &str) -> i32 {
        let mut index = None;
        let mut bodies = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            let payload = payload.expect("a module");
            if let Payload::ExportSection(exports) = payload {
                let mut exports = exports.into_iter().flatten();
                index = exports
                    .find(|export| export.name == name)
                    .map(|found| found.index);
            } else if let Payload::CodeSectionEntry(body) = payload {
                bodies.push(body);
            }
        }
        let mut index = index.expect("an export");
        loop {
            let body = bodies
                .get(usize::try_from(index).expect("an index"))
                .expect("a body");
            let operator = body.get_operators_reader().expect("operators").read();
            let operator = operator.expect("an operator");
            if let Operator::I32Const { value } = operator {
                return value;
            }
            let Operator::Call { function_index } = operator else {
                unreachable!("{operator:?}");
            };
            index = function_index;
        }
    }

    /// What is exported, by number and name.
    fn exports(module: &[u8]) -> Vec<(u32, String)> {
        let mut found = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::ExportSection(exports) = payload.expect("a module") {
                found.extend(
                    exports
                        .into_iter()
                        .flatten()
                        .map(|export| (export.index, export.name.to_owned())),
                );
            }
        }
        found.sort();
        found
    }

    #[test]
    fn functions_that_come_to_the_same_are_there_once_and_every_name_still_leads_to_its_own() {
        let bodies = [
            Instruction::Call(4),
            Instruction::I32Const(9),
            Instruction::Call(3),
            Instruction::I32Const(5),
            Instruction::I32Const(5),
            Instruction::Call(1),
        ];
        let before = module(&bodies, &[("five", 0), ("also five", 2), ("nine", 5)]);
        let settled = settle(&before).expect("settled");
        let after = settled.module;
        let left = Functions::read(&after).expect("functions").bodies.len();
        // Two numbers, and one that leads to each.
        assert_eq!(left, 4);
        for (name, number) in [("five", 5), ("also five", 5), ("nine", 9)] {
            assert_eq!(answer(&before, name), number, "before: {name}");
            assert_eq!(answer(&after, name), number, "after: {name}");
        }
        assert_eq!(exports(&after), settled.names, "the names as they are kept");
        assert_eq!(
            names(&after).expect("a module"),
            [],
            "the names as they are shipped"
        );
    }

    #[test]
    fn what_is_no_module_is_said_to_be_none() {
        assert!(settle(b"not a module").is_err());
    }
}
