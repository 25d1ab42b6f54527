use super::SubmitError;
use cloister_model::{MOST_PARAMETER_BYTES, Parameter, resolve_parameters};
use serde_json::{Map, Value};

/// What becomes `algoCustomData.json`: what the consumer gives, as the algorithm and the datasets declare it. None if nothing
/// was given and nothing has a default.
///
/// An algorithm that declares nothing takes anything, beside what its datasets declare.
pub(super) fn resolve(
    of_algorithm: &[Parameter],
    of_datasets: &[Parameter],
    given: Option<&Value>,
) -> Result<Option<Value>, SubmitError> {
    let value = given.unwrap_or(&Value::Null);
    let mut declared: Vec<Parameter> = Vec::new();
    for parameter in of_algorithm.iter().chain(of_datasets) {
        if !declared.iter().any(|earlier| earlier.name == parameter.name) {
            declared.push(parameter.clone());
        }
    }
    let (checked, free) = match value {
        Value::Object(all) if of_algorithm.is_empty() && !declared.is_empty() => {
            let known = |name: &String| declared.iter().any(|parameter| parameter.name == *name);
            let (checked, free): (Map<_, _>, Map<_, _>) =
                all.iter().map(|(name, value)| (name.clone(), value.clone())).partition(|(name, _)| known(name));
            (Value::Object(checked), free)
        }
        _ => (value.clone(), Map::new()),
    };
    let mut values = resolve_parameters(&declared, &checked).map_err(|errors| {
        let texts: Vec<String> = errors.iter().take(20).map(ToString::to_string).collect();
        SubmitError::field("parameters", texts.join("; "))
    })?;
    values.extend(free);
    let size = serde_json::to_string(&values).map_or(usize::MAX, |text| text.len());
    if size > MOST_PARAMETER_BYTES {
        let problem = format!("the parameters have more than {MOST_PARAMETER_BYTES} bytes as JSON");
        return Err(SubmitError::field("parameters", problem));
    }
    Ok((given.is_some_and(|given| !given.is_null()) || !values.is_empty()).then_some(Value::Object(values)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloister_model::ParameterKind;
    use serde_json::json;

    fn number(name: &str, default: Option<u64>) -> Parameter {
        Parameter {
            name: name.to_owned(),
            label: None,
            description: None,
            kind: ParameterKind::Number,
            required: default.is_none(),
            default: default.map(Value::from),
        }
    }

    #[test]
    fn what_is_declared_is_kept() {
        let (bins, year) = ([number("bins", Some(20))], [number("year", None)]);
        let resolved = resolve(&bins, &year, Some(&json!({"year": 2007}))).expect("values");
        assert_eq!(resolved, Some(json!({"bins": 20, "year": 2007})));
        for wrong in [json!({}), json!({"year": "2007"}), json!({"year": 1, "more": 1}), json!([])] {
            assert!(resolve(&bins, &year, Some(&wrong)).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_algorithm_that_declares_nothing_takes_anything() {
        assert_eq!(resolve(&[], &[], None).expect("nothing"), None);
        assert_eq!(resolve(&[], &[], Some(&json!({}))).expect("nothing"), Some(json!({})));
        let given = json!({"anything": [1], "year": 2007});
        assert_eq!(resolve(&[], &[number("year", None)], Some(&given)).expect("values"), Some(given));
        assert!(resolve(&[], &[number("year", None)], Some(&json!({"anything": 1}))).is_err());
    }
}
