use super::*;

/// The door holds an engine of a kind that it does not know.
fn any_engine_can_stand_behind_the_door(_: &dyn Engine) {}

#[test]
fn engines_are_objects() {
    let _: fn(&dyn Engine) = any_engine_can_stand_behind_the_door;
}

#[test]
fn cursors_are_text_and_back() {
    let cursor = JobCursor { created: Timestamp::from_unix_ms(12), job: JobId::from_bytes([7; 16]) };
    assert_eq!(cursor.to_string().parse(), Ok(cursor));
    for text in ["", "12", "x-00000000000000000000000000000000", "12-0", "-"] {
        assert_eq!(text.parse::<JobCursor>(), Err(JobIdError), "{text}");
    }
}

#[test]
fn results_are_named_as_ocean_names_them() {
    let names = [ResultKind::Output, ResultKind::AlgorithmLog, ResultKind::ConfigurationLog, ResultKind::PublishLog]
        .map(|kind| serde_json::to_value(kind).expect("a name"));
    assert_eq!(names, ["output", "algorithmLog", "configrationLog", "publishLog"]);
}
