//! The configuration of the engine. The process that compiles and the process that runs must use the same settings, so
//! both create their engine here.

use crate::{artifact::compile_for_baseline, hash::sha256_bytes};
use cloister_model::{Profile, Sha256};
use serde::{Deserialize, Serialize};
use wasmtime::{Collector, Config, Engine, OptLevel, RegallocAlgorithm, Result, WasmBacktraceDetails};

/// The exact version of wasmtime, as pinned in the workspace.
pub const WASMTIME_VERSION: &str = "48.0.8";

/// The settings that may differ between two engines of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EngineSettings {
    /// The deterministic profile canonicalises NaNs.
    pub profile: Profile,
    /// Whether the exception-handling proposal is on. It is for installed interpreters only.
    pub exceptions: bool,
    /// Whether the engine counts instructions.
    pub fuel: bool,
}

/// What compiled code needs to run: the engine and the kind of processor that it was compiled for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    wasmtime: String,
    settings: u32,
    arch: String,
    features: Vec<String>,
}

/// The version of the fixed settings in [`EngineSettings::engine`]. It must be incremented by hand when they change.
const FIXED_SETTINGS: u32 = 1;

/// What Cranelift may use of a processor in the code of interpreters: x86-64-v2, which every server has had since 2009. On other
/// architectures, nothing beyond their first version. So one artifact serves all machines of an architecture, and its digest can be a
/// part of a release. Measured with pandas and scikit-learn: as fast as code for the machine itself, within 3 %.
const BASELINE: &[(&str, &str)] = if cfg!(target_arch = "x86_64") {
    &[
        ("sse3", "has_sse3"),
        ("ssse3", "has_ssse3"),
        ("sse4.1", "has_sse41"),
        ("sse4.2", "has_sse42"),
        ("popcnt", "has_popcnt"),
        ("cmpxchg16b", "has_cmpxchg16b"),
    ]
} else {
    &[]
};

impl Target {
    /// This program on this machine.
    #[must_use]
    pub fn here() -> Self {
        Self::with(processor_features().into_iter())
    }

    fn with(features: impl Iterator<Item = &'static str>) -> Self {
        Self {
            wasmtime: WASMTIME_VERSION.to_owned(),
            settings: FIXED_SETTINGS,
            arch: std::env::consts::ARCH.to_owned(),
            features: features.map(str::to_owned).collect(),
        }
    }

    /// Whether code that was compiled for this target runs here: the same engine, and a processor that has at least the same
    /// features.
    ///
    /// # Errors
    /// What is different.
    pub fn check(&self) -> Result<(), String> {
        let Self { wasmtime, settings, arch, features } = self;
        let here = Self::here();
        if (wasmtime, settings) != (&here.wasmtime, &here.settings) {
            let (ours, theirs) = (&here.wasmtime, &here.settings);
            return Err(format!(
                "it was compiled by wasmtime {wasmtime} ({settings}), this program holds {ours} ({theirs})"
            ));
        }
        if *arch != here.arch {
            return Err(format!("it was compiled for {arch}, this processor is {}", here.arch));
        }
        let missing: Vec<_> = features.iter().filter(|feature| !here.features.contains(feature)).cloned().collect();
        match missing.as_slice() {
            [] => Ok(()),
            missing => {
                Err(format!("it was compiled for a processor with {}, which this one lacks", missing.join(", ")))
            }
        }
    }
}

/// How much time compiling takes. What the code computes does not depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effort {
    /// For code that is kept.
    Most,
    /// For code that runs once. Measured with an interpreter: half the time of a processor, code of half the speed.
    Least,
}

/// The purpose of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Compiling. Uses every core.
    Compile(Effort),
    /// Running compiled code. The compiler is off.
    Run {
        /// The guest's stack limit, in bytes.
        stack_bytes: usize,
    },
}

impl EngineSettings {
    /// Creates the engine.
    ///
    /// # Errors
    /// If wasmtime rejects the configuration: a bug, or a machine it does not support.
    #[expect(clippy::disallowed_methods, reason = "the one place that configures the engine")]
    pub fn engine(self, purpose: Purpose) -> Result<Engine> {
        let Self { profile, exceptions, fuel } = self;
        let mut config = Config::new();
        // The proposals that toolchains use today. A test checks that admission allows the same ones.
        config
            .wasm_simd(true)
            .wasm_bulk_memory(true)
            .wasm_multi_value(true)
            .wasm_reference_types(true)
            .wasm_multi_memory(true)
            .wasm_extended_const(true)
            .wasm_component_model(true)
            .wasm_exceptions(exceptions)
            .gc_support(exceptions)
            .wasm_tail_call(false)
            // Its results may differ between processors.
            .wasm_relaxed_simd(false)
            // Every access needs a bounds check, and bulk operations are unbounded.
            .wasm_memory64(false)
            .wasm_function_references(false)
            .wasm_gc(false)
            .wasm_custom_page_sizes(false)
            .wasm_wide_arithmetic(false)
            .wasm_stack_switching(false)
            .concurrency_support(false);
        if exceptions {
            config.collector(Collector::DeferredReferenceCounting);
        }
        config
            // The supervisor kills the process instead: interruption checks slow down tight loops by up to 2.8 times.
            .epoch_interruption(false)
            .consume_fuel(fuel)
            .cranelift_opt_level(OptLevel::Speed)
            .cranelift_nan_canonicalization(profile == Profile::Deterministic)
            // Turning this off would also turn off the mitigations against speculative reads.
            .signals_based_traps(true)
            .native_unwind_info(exceptions)
            .wasm_backtrace_details(WasmBacktraceDetails::Disable)
            .wasm_backtrace_max_frames(None)
            .generate_address_map(false);
        match purpose {
            Purpose::Compile(effort) => {
                config.parallel_compilation(true);
                if exceptions {
                    compile_for_baseline(&mut config, BASELINE.iter().map(|(_, flag)| *flag))?;
                }
                if effort == Effort::Least {
                    config
                        .cranelift_opt_level(OptLevel::None)
                        .cranelift_regalloc_algorithm(RegallocAlgorithm::SinglePass);
                }
            }
            Purpose::Run { stack_bytes } => {
                // wasmtime requires the async stack to be the larger one, although nothing here runs on it.
                config.enable_compiler(false).async_stack_size(stack_bytes + (1 << 20)).max_wasm_stack(stack_bytes);
            }
        }
        Engine::new(&config)
    }

    /// What code that this program compiles with these settings needs to run: this machine, and for interpreters only what every
    /// machine of its architecture has.
    #[must_use]
    pub fn target(self) -> Target {
        if self.exceptions { Target::with(BASELINE.iter().map(|(feature, _)| *feature)) } else { Target::here() }
    }

    /// A digest of everything that affects what a guest computes and which artifacts can run: these settings, the
    /// engine's version and the processor's features.
    #[must_use]
    pub fn digest(self) -> Sha256 {
        self.digest_for(&self.target())
    }

    /// The same for code that was compiled for another target.
    #[must_use]
    pub fn digest_for(self, target: &Target) -> Sha256 {
        let Self { profile, exceptions, fuel } = self;
        let Target { wasmtime, settings, arch, features } = target;
        let features = features.join(",");
        let text = format!(
            "cloister engine {settings}\nwasmtime {wasmtime}\narch {arch}\nfeatures {features}\nprofile {profile}\nexceptions {exceptions}\nfuel {fuel}\n",
        );
        sha256_bytes(text.as_bytes())
    }
}

/// The features of the processor that Cranelift uses.
fn processor_features() -> Vec<&'static str> {
    macro_rules! present {
        ($detect:ident: $($name:tt)*) => { [$(($name, std::arch::$detect!($name))),*] };
    }
    #[cfg(target_arch = "x86_64")]
    let all = present!(is_x86_feature_detected: "sse3" "ssse3" "sse4.1" "sse4.2" "popcnt" "avx" "avx2" "fma" "bmi1"
        "bmi2" "lzcnt" "avx512f" "avx512dq" "avx512vl" "avx512bitalg" "avx512vbmi" "cmpxchg16b");
    #[cfg(target_arch = "aarch64")]
    let all = present!(is_aarch64_feature_detected: "lse" "paca" "fp16" "dotprod" "i8mm");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let all: [(&str, bool); 0] = [];
    all.into_iter().filter_map(|(name, present)| present.then_some(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: EngineSettings = EngineSettings { profile: Profile::Deterministic, exceptions: false, fuel: false };

    #[test]
    fn every_setting_changes_the_digest() {
        let others = [
            EngineSettings { profile: Profile::Standard, ..SETTINGS },
            EngineSettings { exceptions: true, ..SETTINGS },
            EngineSettings { fuel: true, ..SETTINGS },
        ];
        for other in others {
            assert_ne!(SETTINGS.digest(), other.digest(), "{other:?}");
        }
    }

    /// The names in Cranelift and those that a program asks the processor for must mean the same, or code would be refused when it is
    /// loaded, or run where it must not.
    #[test]
    fn interpreters_are_compiled_for_every_machine_of_the_architecture() {
        let settings = EngineSettings { exceptions: true, ..SETTINGS };
        assert_eq!(settings.target().check(), Ok(()));
        assert_eq!(settings.target().features.len(), BASELINE.len());
        let (ours, baseline) = (SETTINGS.target(), settings.target());
        assert!(baseline.features.iter().all(|feature| ours.features.contains(feature)));
        let engine = settings.engine(Purpose::Compile(Effort::Most)).expect("an engine");
        let text = r#"(module (func (export "f") (param f64) (result f64) (f64.nearest (local.get 0))))"#;
        let code = engine.precompile_module(&wat::parse_str(text).expect("a valid text")).expect("an artifact");
        let run = settings.engine(Purpose::Run { stack_bytes: 1 << 20 }).expect("an engine");
        crate::artifact::load_module_bytes(&run, &code).expect("it loads");
        // Nothing of this machine is in it: an engine that was not told of it makes the same bytes.
        let again = settings.engine(Purpose::Compile(Effort::Most)).expect("an engine");
        assert_eq!(again.precompile_module(&wat::parse_str(text).expect("a valid text")).expect("an artifact"), code);
    }

    #[test]
    fn code_runs_on_a_processor_with_more_features_and_on_no_other() {
        let here = Target::here();
        assert_eq!(here.check(), Ok(()));
        assert_eq!(Target { features: Vec::new(), ..here.clone() }.check(), Ok(()));
        let newer = Target { features: vec!["avx1024".to_owned()], ..here.clone() };
        assert!(newer.check().expect_err("missing").contains("avx1024, which this one lacks"));
        assert!(Target { arch: "m68k".to_owned(), ..here.clone() }.check().expect_err("another").contains("m68k"));
        assert!(Target { wasmtime: "1.0.0".to_owned(), ..here.clone() }.check().expect_err("older").contains("1.0.0"));
        assert!(Target { settings: 0, ..here.clone() }.check().is_err());
        assert_ne!(SETTINGS.digest_for(&newer), SETTINGS.digest());
        assert_eq!(SETTINGS.digest_for(&here), SETTINGS.digest());
    }

    /// One small module for each proposal that the two might treat differently.
    #[test]
    fn the_engine_and_admission_allow_the_same_proposals() {
        let run = r#"(memory (export "memory") 1) (func (export "_start"))"#;
        for (proposal, text, algorithm, runtime) in [
            ("simd", "(func (result v128) (v128.const i64x2 0 0))", true, true),
            ("bulk-memory", "(func (memory.fill (i32.const 0) (i32.const 0) (i32.const 0)))", true, true),
            ("multi-memory", "(memory 1)", true, true),
            ("multi-value", "(func (result i32 i32) (i32.const 0) (i32.const 0))", true, true),
            ("extended-const", "(global i32 (i32.add (i32.const 1) (i32.const 2)))", true, true),
            ("saturating", "(func (param f32) (result i32) (i32.trunc_sat_f32_s (local.get 0)))", true, true),
            ("reference-types", "(table 1 funcref) (table 1 funcref)", true, true),
            ("exceptions", "(tag)", false, true),
            ("tail-call", "(func (return_call 0))", false, false),
            ("threads", "(memory 1 1 shared)", false, false),
            ("memory64", "(memory i64 1)", false, false),
            ("gc", "(type (struct))", false, false),
            ("function-references", "(type $f (func)) (func (param (ref $f)))", false, false),
            (
                "relaxed-simd",
                "(func (param v128) (result v128)
                (i8x16.relaxed_swizzle (local.get 0) (local.get 0)))",
                false,
                false,
            ),
            (
                "wide-arithmetic",
                "(func (param i64 i64) (result i64 i64)
                (i64.mul_wide_s (local.get 0) (local.get 1)))",
                false,
                false,
            ),
        ] {
            let bytes = wat::parse_str(format!("(module {run} {text})")).expect("a valid text");
            let start = ["_start".to_owned()];
            for (exceptions, expected, role) in [
                (false, algorithm, cloister_admission::Role::Algorithm),
                (true, runtime, cloister_admission::Role::Runtime { trapped_imports: &[], start: &start }),
            ] {
                let limits = cloister_model::Limits::default();
                let request = cloister_admission::Request { bytes: &bytes, limits: &limits, role };
                let admitted = cloister_admission::admit(&request).verdict == cloister_model::Verdict::Admitted;
                assert_eq!(admitted, expected, "{proposal} by admission, exceptions {exceptions}");
                let engine = EngineSettings { exceptions, ..SETTINGS }
                    .engine(Purpose::Compile(Effort::Most))
                    .expect("an engine");
                let compiled = engine.precompile_module(&bytes).is_ok();
                assert_eq!(compiled, expected, "{proposal} by the engine, exceptions {exceptions}");
            }
        }
    }

    #[test]
    fn the_running_engine_loads_what_the_compiling_engine_wrote() {
        let others = EngineSettings { exceptions: true, fuel: true, profile: Profile::Standard };
        for (settings, effort) in [(SETTINGS, Effort::Most), (SETTINGS, Effort::Least), (others, Effort::Most)] {
            let compiled = settings.engine(Purpose::Compile(effort)).expect("an engine");
            let artifact = compiled.precompile_module(b"\0asm\x01\0\0\0").expect("an artifact");
            let engine = settings.engine(Purpose::Run { stack_bytes: 1 << 20 }).expect("an engine");
            crate::artifact::load_module_bytes(&engine, &artifact).expect("it loads");
        }
    }
}
