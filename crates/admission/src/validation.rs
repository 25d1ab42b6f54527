//! Validation: checks that the program is well-typed and uses only enabled proposals.
//!
//! Validates one function after the other, reusing allocations, and stops at the first error.

use crate::{Proposals, caps, proposals, survey::too_large};
use cloister_model::{Refusal, Rule};
use wasmparser::{
    FuncToValidate, FuncValidatorAllocations, FunctionBody, Parser, ValidPayload, Validator, ValidatorResources,
    types::Types,
};

/// The opcode of `br_table`.
const BR_TABLE: u8 = 0x0e;

/// The types of a valid program, or the first reason why it is invalid.
pub(crate) fn validate(bytes: &[u8], proposals: Proposals) -> Result<Types, Refusal> {
    let features = proposals.features();
    let mut validator = Validator::new_with_features(features);
    let mut functions = Functions { bytes, allocations: FuncValidatorAllocations::default(), branch_targets: 0 };
    let mut types = None;
    let mut parser = Parser::new(0);
    parser.set_features(features);
    for payload in parser.parse_all(bytes) {
        let payload = payload.map_err(invalid)?;
        match validator.payload(&payload).map_err(invalid)? {
            ValidPayload::Func(function, body) => functions.validate(function, &body)?,
            // The last types are those of the program itself.
            ValidPayload::End(end) => types = Some(end),
            ValidPayload::Ok | ValidPayload::Parser(_) => {}
        }
    }
    types.ok_or_else(|| Refusal::new(Rule::Invalid, "no end", REBUILD))
}

pub(crate) const REBUILD: &str = "Check that the file is complete, and build it with current tools";

fn invalid(error: wasmparser::Error) -> Refusal {
    let message = format!("{} (at byte {})", error.message(), error.offset());
    match error.missing_wasm_feature() {
        None => Refusal::new(Rule::Invalid, &message, REBUILD),
        Some(feature) => {
            let (name, advice) = proposals::missing(feature);
            Refusal::new(Rule::Invalid, &format!("needs the proposal `{name}`, which is off: {message}"), advice)
        }
    }
}

/// Validates the functions of all modules.
struct Functions<'a> {
    bytes: &'a [u8],
    allocations: FuncValidatorAllocations,
    branch_targets: u64,
}

impl Functions<'_> {
    fn validate(
        &mut self,
        function: FuncToValidate<ValidatorResources>,
        body: &FunctionBody<'_>,
    ) -> Result<(), Refusal> {
        let features = function.features;
        let mut validator = function.into_validator(std::mem::take(&mut self.allocations));
        let mut reader = body.get_binary_reader();
        validator.read_locals(&mut reader).map_err(invalid)?;
        reader.set_features(features);
        let mut branch_targets = 0;
        while !reader.eof() {
            let position = reader.original_position();
            if self.bytes.get(position) == Some(&BR_TABLE) {
                let mut ahead = reader.clone();
                let targets = ahead.read_u8().and_then(|_| ahead.read_var_u32()).map_err(invalid)?;
                branch_targets += u64::from(targets);
                if branch_targets > caps::FUNCTION_BRANCH_TARGETS {
                    let most = caps::FUNCTION_BRANCH_TARGETS;
                    return Err(too_large("`br_table` targets in one function", branch_targets, most));
                }
            }
            let checked = reader.visit_operator(&mut validator.visitor(position));
            checked.and_then(|checked| checked).map_err(invalid)?;
            for (what, value, most) in [
                ("operands at once in one function", validator.operand_stack_height(), caps::OPERANDS),
                ("nested blocks in one function", validator.control_stack_height(), caps::NESTED_BLOCKS),
            ] {
                if value > most {
                    return Err(too_large(what, value.into(), most.into()));
                }
            }
        }
        reader.finish_expression(&validator.visitor(reader.original_position())).map_err(invalid)?;
        self.branch_targets += branch_targets;
        if self.branch_targets > caps::BRANCH_TARGETS {
            return Err(too_large("`br_table` targets", self.branch_targets, caps::BRANCH_TARGETS));
        }
        self.allocations = validator.into_allocations();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{caps, fixtures::*};
    use cloister_model::{Rule, Verdict};

    #[test]
    fn says_where_a_program_is_wrong() {
        assert_refused(&admit_with("(func (result i32))"), Rule::Invalid, "at byte");
        assert_refused(&admit_with("(func local.get 0 drop)"), Rule::Invalid, "unknown local");
    }

    #[test]
    fn names_the_proposal_that_is_off() {
        for (fields, proposal) in [
            ("(memory i64 1)", "memory64"),
            ("(memory 1 1 shared)", "threads"),
            ("(memory 1) (func i32.const 0 i32.atomic.load drop)", "threads"),
            ("(type (struct))", "gc"),
            ("(func (param externref))", "gc-types"),
            ("(type $t (func)) (func (param (ref null $t)))", "function-references"),
            ("(tag)", "exceptions"),
            ("(func (try_table))", "exceptions"),
            ("(func try end)", "legacy-exceptions"),
            ("(func $f return_call $f)", "tail-call"),
            ("(func (param v128) local.get 0 local.get 0 i8x16.relaxed_swizzle drop)", "relaxed-simd"),
            ("(memory 1 (pagesize 1))", "custom-page-sizes"),
        ] {
            let admission = admit_with(fields);
            assert_refused(&admission, Rule::Invalid, &format!("`{proposal}`"));
        }
    }

    #[test]
    fn allows_what_compilers_emit() {
        let admission = admit_with(
            "(global (mut i32) (i32.const 0)) (table 1 funcref) (table 1 funcref) (memory 1) (data \"x\")
             (global i32 (i32.add (i32.const 1) (i32.const 2)))
             (func (result i32 i32) i32.const 1 i32.const 2)
             (func (param f64 i32) local.get 0 i64.trunc_sat_f64_s drop local.get 1 i32.extend8_s drop)
             (func (param v128) i32.const 0 i32.const 0 i32.const 0 memory.fill
                local.get 0 local.get 0 i32x4.add drop i32.const 0 call_indirect 1)",
        );
        assert_eq!(admission.verdict, Verdict::Admitted);
    }

    /// `i32.const 0`, then `br_table` with the given number of targets, all of them the function itself.
    fn branching(targets: usize) -> Vec<u8> {
        [b"\x41\0\x0e".to_vec(), leb(targets), vec![0; targets + 1]].concat()
    }

    #[test]
    fn bounds_the_targets_of_branches() {
        let most = usize::try_from(caps::FUNCTION_BRANCH_TARGETS).expect("it fits");
        assert_eq!(admit_bytes(&functions(1, &branching(most))).verdict, Verdict::Admitted);
        assert_refused(&admit_bytes(&functions(1, &branching(most + 1))), Rule::TooLarge, "in one function");
        let twice = branching(most / 2 + 1).repeat(2);
        assert_refused(&admit_bytes(&functions(1, &twice)), Rule::TooLarge, "in one function");
        assert_refused(&admit_bytes(&functions(16, &branching(most))), Rule::TooLarge, "`br_table` targets");
        assert_refused(&admit_bytes(&functions(1, b"\x41\0\x0e\xff\xff\xff\xff\x0f")), Rule::TooLarge, "4294967295");
    }

    #[test]
    fn bounds_the_stack_and_the_nesting_of_blocks() {
        let operands = usize::try_from(caps::OPERANDS).expect("it fits");
        let pushing = |count: usize| [b"\x41\0".repeat(count), vec![0x1a; count]].concat();
        assert_eq!(admit_bytes(&functions(1, &pushing(operands))).verdict, Verdict::Admitted);
        assert_refused(&admit_bytes(&functions(1, &pushing(operands + 1))), Rule::TooLarge, "operands");
        let blocks = usize::try_from(caps::NESTED_BLOCKS).expect("it fits");
        let nested = |count: usize| [b"\x02\x40".repeat(count), vec![0x0b; count]].concat();
        assert_eq!(admit_bytes(&functions(1, &nested(blocks - 1))).verdict, Verdict::Admitted);
        assert_refused(&admit_bytes(&functions(1, &nested(blocks))), Rule::TooLarge, "blocks");
    }

    #[test]
    fn bounds_locals() {
        let locals = |count: usize| {
            let code = sized(&[vec![1], leb(count), vec![0x7f, 0x0b]].concat());
            core(&[
                section(1, 1, b"\x60\0\0"),
                section(3, 1, b"\0"),
                section(5, 1, b"\0\x01"),
                section(7, 2, b"\x06_start\0\0\x06memory\x02\0"),
                section(10, 1, &code),
            ])
        };
        assert_eq!(admit_bytes(&locals(50_000)).verdict, Verdict::Admitted);
        assert_refused(&admit_bytes(&locals(50_001)), Rule::Invalid, "too many locals");
        assert_refused(&admit_bytes(&locals(0xffff_ffff)), Rule::Invalid, "too many locals");
    }
}
