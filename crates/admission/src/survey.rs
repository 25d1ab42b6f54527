//! Counts what a program declares, over all modules inside it, before it is validated.
//!
//! This takes one pass over the sections without reading function bodies. It stops at the first structure that exceeds a
//! cap, so that a program that is refused for its size costs little.

use crate::{
    Proposals,
    caps::{self, Caps},
    declarations, toolchain,
};
use cloister_model::{MemoryType, Refusal, Rule, Toolchain};
use wasmparser::{
    BinaryReader, CompositeInnerType, ExternalKind, ImportSectionReader, Parser, Payload, SectionLimited, TypeRef,
    TypeSectionReader,
};

/// The declarations of a program. The lists cover the program itself; the numbers cover everything inside it.
#[derive(Debug, Default)]
pub(crate) struct Survey<'a> {
    pub(crate) imports: Vec<Import<'a>>,
    pub(crate) exports: Vec<Export<'a>>,
    pub(crate) memories: Vec<MemoryType>,
    pub(crate) table_elements: u64,
    pub(crate) functions: u64,
    pub(crate) code_bytes: u64,
    pub(crate) toolchain: Vec<Toolchain>,
    /// The custom section that shows that the file is not yet a program.
    pub(crate) unlinked: Option<Unlinked>,
    /// The first structure that exceeds a cap. The survey ended there.
    pub(crate) exceeded: Option<Refusal>,
    /// Whether the survey reached the end, so that the lists and numbers are complete.
    pub(crate) complete: bool,
    totals: Totals,
}

/// One import of the program itself. `name` is empty for components.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Import<'a> {
    pub(crate) module: &'a str,
    pub(crate) name: &'a str,
    pub(crate) item: Item,
}

/// One export of the program itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Export<'a> {
    pub(crate) name: &'a str,
    pub(crate) item: Item,
}

/// The kind of an import or export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// A core function, with its type index for an import or its function index for an export.
    Function(u32),
    Memory,
    /// An instance of a component.
    Instance,
    /// Any other kind, by its name.
    Other(&'static str),
}

impl Item {
    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Function(_) => "function",
            Self::Memory => "memory",
            Self::Instance => "instance",
            Self::Other(name) => name,
        }
    }
}

/// Intermediate files of compilers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unlinked {
    /// An object file: it has a `linking` section.
    Object,
    /// A dynamic library: it has a `dylink.0` section.
    Library,
}

/// Numbers over everything inside the program.
#[derive(Debug, Default)]
struct Totals {
    depth: u64,
    nested: u64,
    nested_names: u64,
    types: u64,
    component_instances: u64,
    imports: u64,
    exports: u64,
    tables: u64,
    memories: u64,
    data_segments: u64,
    element_segments: u64,
    /// The places where the validator copies a type, and the number of declarations that it copies: see
    /// [`caps::TYPE_COPIES`].
    type_uses: u64,
    type_content: u64,
}

/// Why a survey ended early.
enum Stop {
    /// The bytes cannot be parsed; the validator reports why.
    Unreadable,
    Exceeded(Refusal),
}

impl From<wasmparser::Error> for Stop {
    fn from(_: wasmparser::Error) -> Self {
        Self::Unreadable
    }
}

/// Surveys a program.
pub(crate) fn survey<'a>(bytes: &'a [u8], proposals: Proposals, caps: Caps) -> Survey<'a> {
    let mut survey = Survey::default();
    let mut parser = Parser::new(0);
    parser.set_features(proposals.features());
    for payload in parser.parse_all(bytes) {
        let Ok(payload) = payload else { return survey };
        match survey.take(bytes, payload, caps) {
            Ok(()) => {}
            Err(Stop::Unreadable) => return survey,
            Err(Stop::Exceeded(refusal)) => {
                survey.exceeded = Some(refusal);
                return survey;
            }
        }
    }
    survey.complete = true;
    survey
}

fn as_u64(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// Adds to a number and checks its cap.
fn count(total: &mut u64, more: u64, most: u64, what: &str) -> Result<(), Stop> {
    *total = total.saturating_add(more);
    if *total > most { Err(exceeded(what, *total, most)) } else { Ok(()) }
}

fn exceeded(what: &str, value: u64, most: u64) -> Stop {
    Stop::Exceeded(too_large(what, value, most))
}

/// The refusal for exceeding a cap.
pub(crate) fn too_large(what: &str, value: u64, most: u64) -> Refusal {
    Refusal::new(
        Rule::TooLarge,
        &format!("{value} {what}"),
        format!("At most {most} are taken: build with optimisation for size, or split the program"),
    )
}

impl<'a> Survey<'a> {
    fn take(&mut self, bytes: &'a [u8], payload: Payload<'a>, caps: Caps) -> Result<(), Stop> {
        let totals = &mut self.totals;
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => {
                totals.depth += 1;
                if totals.depth > caps::NESTING_DEPTH {
                    return Err(exceeded("levels of components", totals.depth, caps::NESTING_DEPTH));
                }
                count(&mut totals.nested, 1, caps::NESTED, "modules and components inside")
            }
            Payload::End(_) => {
                totals.depth = totals.depth.saturating_sub(1);
                Ok(())
            }
            Payload::TypeSection(section) => self.core_types(section),
            Payload::CoreTypeSection(section) => {
                count(&mut totals.types, section.count().into(), caps::TYPES, "types")?;
                for ty in section {
                    if let wasmparser::CoreType::Module(declarations) = ty? {
                        let inside = as_u64(declarations.len());
                        count(&mut totals.types, inside, caps::TYPES, "types")?;
                    }
                }
                Ok(())
            }
            Payload::ComponentTypeSection(section) => self.component_types(bytes, &section),
            Payload::ImportSection(section) => self.core_imports(section),
            Payload::ComponentImportSection(section) => self.component_imports(section),
            Payload::ExportSection(section) => self.core_exports(section),
            Payload::ComponentExportSection(section) => self.component_exports(section),
            Payload::ComponentInstanceSection(section) => {
                let most = caps::COMPONENT_INSTANCES;
                count(&mut totals.component_instances, section.count().into(), most, "instances of components")?;
                self.type_uses(section.count().into())
            }
            Payload::FunctionSection(section) => {
                count(&mut self.functions, section.count().into(), caps.functions, "functions")
            }
            Payload::TableSection(section) => {
                count(&mut totals.tables, section.count().into(), caps::TABLES, "tables")?;
                for table in section {
                    self.table_elements = self.table_elements.saturating_add(table?.ty.initial);
                }
                Ok(())
            }
            Payload::MemorySection(section) => {
                count(&mut totals.memories, section.count().into(), caps::MEMORIES, "memories")?;
                for memory in section {
                    let memory = memory?;
                    self.memories.push(MemoryType { initial_pages: memory.initial, maximum_pages: memory.maximum });
                }
                Ok(())
            }
            Payload::DataCountSection { count: segments, .. } if u64::from(segments) > caps::DATA_SEGMENTS => {
                Err(exceeded("data segments", segments.into(), caps::DATA_SEGMENTS))
            }
            Payload::DataSection(section) => {
                count(&mut totals.data_segments, section.count().into(), caps::DATA_SEGMENTS, "data segments")
            }
            Payload::ElementSection(section) => {
                count(&mut totals.element_segments, section.count().into(), caps::ELEMENT_SEGMENTS, "element segments")
            }
            Payload::CodeSectionEntry(body) => {
                let size = as_u64(body.range().len());
                self.code_bytes = self.code_bytes.saturating_add(size);
                if size > caps.function_bytes {
                    return Err(exceeded("bytes in one function", size, caps.function_bytes));
                }
                Ok(())
            }
            Payload::CustomSection(section) => {
                match section.name() {
                    "producers" => toolchain::collect(&section, &mut self.toolchain),
                    "linking" if totals.depth == 0 => self.unlinked = Some(Unlinked::Object),
                    "dylink.0" if totals.depth == 0 => self.unlinked = Some(Unlinked::Library),
                    _ => {}
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn is_nested(&self) -> bool {
        self.totals.depth > 0
    }

    fn core_types(&mut self, section: TypeSectionReader<'a>) -> Result<(), Stop> {
        count(&mut self.totals.types, section.count().into(), caps::TYPES, "types")?;
        for group in section {
            for ty in group?.types() {
                if let CompositeInnerType::Func(function) = &ty.composite_type.inner {
                    for (what, value, most) in [
                        ("parameters of one function", function.params().len(), caps::PARAMETERS),
                        ("results of one function", function.results().len(), caps::RESULTS),
                    ] {
                        if value > most {
                            return Err(exceeded(what, as_u64(value), as_u64(most)));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn component_types<T>(&mut self, bytes: &'a [u8], section: &SectionLimited<'a, T>) -> Result<(), Stop> {
        let start = section.original_position();
        let Some(content) = bytes.get(start..section.range().end) else { return Err(Stop::Unreadable) };
        let seen = declarations::walk(BinaryReader::new(content, start), section.count());
        if seen.too_deep {
            let depth = as_u64(caps::TYPE_DEPTH);
            return Err(exceeded("levels of component types", depth + 1, depth));
        }
        count(&mut self.totals.types, seen.count, caps::TYPES, "types")?;
        self.totals.type_content = self.totals.type_content.saturating_add(seen.count);
        self.type_uses(seen.instances)
    }

    fn type_uses(&mut self, more: u64) -> Result<(), Stop> {
        let totals = &mut self.totals;
        totals.type_uses = totals.type_uses.saturating_add(more);
        let copies = totals.type_uses.saturating_mul(totals.type_content);
        if copies > caps::TYPE_COPIES {
            return Err(exceeded("copies of component types", copies, caps::TYPE_COPIES));
        }
        Ok(())
    }

    fn core_imports(&mut self, section: ImportSectionReader<'a>) -> Result<(), Stop> {
        if self.is_nested() {
            return self.nested_names(section.count().into());
        }
        for import in section.into_imports() {
            let import = import?;
            count(&mut self.totals.imports, 1, caps::IMPORTS, "imports")?;
            let item = match import.ty {
                TypeRef::Func(index) => Item::Function(index),
                TypeRef::FuncExact(_) => Item::Other("exact function"),
                TypeRef::Table(_) => Item::Other("table"),
                TypeRef::Memory(_) => Item::Memory,
                TypeRef::Global(_) => Item::Other("global"),
                TypeRef::Tag(_) => Item::Other("tag"),
            };
            self.imports.push(Import { module: import.module, name: import.name, item });
        }
        Ok(())
    }

    fn component_imports(&mut self, section: wasmparser::ComponentImportSectionReader<'a>) -> Result<(), Stop> {
        use wasmparser::ComponentTypeRef as Ref;
        let nested = self.is_nested();
        for import in section {
            let import = import?;
            if matches!(import.ty, Ref::Instance(_) | Ref::Component(_)) {
                self.type_uses(1)?;
            }
            if nested {
                self.nested_names(1)?;
                continue;
            }
            count(&mut self.totals.imports, 1, caps::IMPORTS, "imports")?;
            let item = match import.ty {
                Ref::Instance(_) => Item::Instance,
                other => Item::Other(other.kind().desc()),
            };
            self.imports.push(Import { module: import.name.name, name: "", item });
        }
        Ok(())
    }

    fn core_exports(&mut self, section: wasmparser::ExportSectionReader<'a>) -> Result<(), Stop> {
        if self.is_nested() {
            return self.nested_names(section.count().into());
        }
        count(&mut self.totals.exports, section.count().into(), caps::EXPORTS, "exports")?;
        for export in section {
            let export = export?;
            let item = match export.kind {
                ExternalKind::Func => Item::Function(export.index),
                ExternalKind::FuncExact => Item::Other("exact function"),
                ExternalKind::Memory => Item::Memory,
                ExternalKind::Table => Item::Other("table"),
                ExternalKind::Global => Item::Other("global"),
                ExternalKind::Tag => Item::Other("tag"),
            };
            self.exports.push(Export { name: export.name, item });
        }
        Ok(())
    }

    fn component_exports(&mut self, section: wasmparser::ComponentExportSectionReader<'a>) -> Result<(), Stop> {
        use wasmparser::ComponentExternalKind as Kind;
        let nested = self.is_nested();
        for export in section {
            let export = export?;
            if matches!(export.kind, Kind::Instance | Kind::Component) {
                self.type_uses(1)?;
            }
            if nested {
                self.totals.type_content = self.totals.type_content.saturating_add(1);
                self.nested_names(1)?;
                continue;
            }
            count(&mut self.totals.exports, 1, caps::EXPORTS, "exports")?;
            let item = match export.kind {
                Kind::Instance => Item::Instance,
                other => Item::Other(other.desc()),
            };
            self.exports.push(Export { name: export.name.name, item });
        }
        Ok(())
    }

    fn nested_names(&mut self, more: u64) -> Result<(), Stop> {
        count(&mut self.totals.nested_names, more, caps::NESTED_NAMES, "imports and exports inside")
    }
}

#[cfg(test)]
mod tests;
