use super::*;
use crate::config::Settings;
use std::io::Write as _;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    file
}

fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn later_layers_take_precedence() {
    let config = file("listen = \"127.0.0.1:1\"\n[engine]\nmax_jobs = 1\nmax_queued = 11\n");
    let mut layers = Layers::default();
    layers.file(config.path()).expect("a file");
    let environment =
        [pair("CLOISTER_ENGINE_MAX_JOBS", "2"), pair("PATH", "/bin"), pair("CLOISTER_LISTEN", "127.0.0.1:2")];
    layers.environment(environment).expect("an environment");
    layers.flag("--listen", "listen", Some("127.0.0.1:3".to_owned())).expect("a flag");
    layers.flag("--home", "home", None).expect("no flag");
    let settings = Settings::resolve(&layers).expect("settings");
    assert_eq!(settings.listen.port(), 3);
    assert_eq!((settings.engine_max_jobs, settings.engine_max_queued), (Some(2), 11));
    assert_eq!(layers.origin("listen"), Origin::Flag("--listen".to_owned()));
    assert_eq!(layers.origin("engine.max_jobs"), Origin::Environment("CLOISTER_ENGINE_MAX_JOBS".to_owned()));
    assert_eq!(layers.origin("engine.max_queued"), Origin::File(config.path().to_owned(), 4));
    assert_eq!(layers.origin("home"), Origin::Default);
}

#[test]
fn unknown_names_are_errors_with_a_suggestion() {
    let config = file("[engine]\nmax_job = 1\n");
    let error = Layers::default().file(config.path()).expect_err("unknown").to_string();
    assert!(
        error.contains("`engine.max_job`") && error.contains("`engine.max_jobs`") && error.contains(":2"),
        "{error}"
    );
    let error = Layers::default().environment([pair("CLOISTER_LISTN", "x")]).expect_err("unknown").to_string();
    assert!(error.contains("CLOISTER_LISTEN"), "{error}");
    let error = Layers::default().set("cache.byte=1").expect_err("unknown").to_string();
    assert!(error.contains("--set") && error.contains("`cache.bytes`"), "{error}");
    for name in OTHER_VARIABLES {
        Layers::default().environment([pair(name, "anything")]).expect("not a setting");
    }
}

#[test]
fn an_invalid_value_is_not_repeated() {
    let mut layers = Layers::default();
    layers.set("results.options=SECRET").expect("known");
    let error = Settings::resolve(&layers).expect_err("no table").to_string();
    assert!(error.contains("results.options") && !error.contains("SECRET"), "{error}");
}

#[test]
fn hostile_names_are_escaped() {
    let error = Layers::default().set("a\x1b[2J=1").expect_err("unknown").to_string();
    assert!(!error.contains('\x1b'), "{error}");
}

#[test]
fn names_in_the_environment_are_distinct() {
    let mut names: Vec<String> = TABLE.iter().map(|setting| variable(setting.key)).collect();
    assert!(names.iter().all(|name| !OTHER_VARIABLES.contains(&name.as_str())));
    names.sort();
    names.dedup();
    assert_eq!(names.len(), TABLE.len());
}
