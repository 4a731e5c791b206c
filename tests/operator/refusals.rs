//! What a real API server refuses is what `validate` refuses: the same field, the same code.

use kube::core::Status;
use serde_json::Value;
use timbr_identity::api::Kind;

use crate::{
    bad_input,
    harness::{Lab, SOON},
    shop::{Stage, loosen, own_plane_without_controllers},
};

/// Asks the server to create an object, strictly and without doing it.
async fn refusal(lab: &Lab, object: &Value) -> Option<Status> {
    let kind = Kind::ALL.iter().find(|kind| object["kind"] == kind.name()).expect("a kind of ours");
    let plural = kind.plural();
    let uri = format!(
        "/apis/identity.timbr.ai/v1alpha1/namespaces/{}/{plural}?dryRun=All&fieldValidation=Strict",
        lab.namespace
    );
    let request = http::Request::post(uri).header("Content-Type", "application/json");
    let request = request.body(object.to_string().into_bytes()).expect("a request");
    match lab.plane.admin().request_text(request).await {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some(*status),
        Err(error) => panic!("{error}"),
    }
}

/// Field and code of each thing that the server found wrong.
fn findings(status: &Status) -> Vec<(String, String)> {
    let unknown = status.message.split("unknown field \"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut findings: Vec<(String, String)> =
        unknown.map(|field| (field.to_owned(), "FieldUnknown".to_owned())).collect();
    for cause in status.details.iter().flat_map(|details| &details.causes) {
        // A rule of ours says its code itself.
        let of_rule = cause
            .message
            .split(": ")
            .find(|word| timbr_identity::api::Code::ALL.iter().any(|code| code.as_str() == *word));
        let code = of_rule.unwrap_or(match cause.reason.as_str() {
            "FieldValueRequired" => "FieldRequired",
            "FieldValueTypeInvalid" => "FieldType",
            "FieldValueNotSupported" => "FieldNotSupported",
            "FieldValueDuplicate" => "FieldDuplicate",
            "FieldValueTooLong" | "FieldValueTooMany" => "FieldLimit",
            "FieldValueInvalid" if cause.message.contains("should be at least") => "FieldLimit",
            "FieldValueInvalid" if cause.message.contains("should have at least") => "FieldLimit",
            "FieldValueInvalid" if cause.message.contains("must be of type") => "FieldType",
            // "some validation rules were not checked" is no finding of its own.
            _ if cause.message.contains("some validation rules were not checked") => continue,
            other => other,
        });
        findings.push((cause.field.clone(), code.to_owned()));
    }
    findings
}

#[tokio::test]
async fn the_api_server_refuses_what_validate_refuses_with_the_same_field_and_code() {
    let lab = Lab::new("refusals").await;
    for good in bad_input::valid() {
        assert_eq!(refusal(&lab, &good).await.map(|status| status.message), None);
    }
    let mut different = Vec::new();
    let mut cases = bad_input::cases();
    cases.retain(|case| !case.past_the_schema);
    for case in &cases {
        let wanted = vec![(case.path.clone(), case.code.to_owned())];
        let found = refusal(&lab, &case.object).await;
        let said = found.as_ref().map(findings).unwrap_or_default();
        if said != wanted {
            different.push(format!(
                "{}: {said:?} instead of {wanted:?} ({:?})",
                case.name,
                found.map(|status| status.message)
            ));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    println!("{} objects with one fault each were refused with the field and the code of validate", cases.len());
    assert!(cases.len() >= 300, "{}", cases.len());
}

/// With the rules taken out of the CRDs, as under an older version of them: the webhook refuses what they would have
/// refused, and without it the status tells it, in both with the field and the code that `validate` has.
#[tokio::test]
async fn what_gets_past_the_schema_is_refused_by_the_webhook_and_else_told_by_the_status() {
    let plane = own_plane_without_controllers().await;
    let stage = Stage::of(Lab::on(plane, "past").await, "Fail", 1, &[]).await;
    let lab = &stage.lab;
    for kind in Kind::ALL {
        loosen(plane, kind.plural()).await;
    }
    // What the structure of the schema says stays with the API server.
    let cases: Vec<_> = bad_input::cases().into_iter().filter(|case| !case.code.starts_with("Field")).collect();
    let create = async |i: usize, object: &Value| {
        let mut object = object.clone();
        object["metadata"]["name"] = serde_json::json!(format!("case-{i}"));
        let kind = Kind::ALL.iter().find(|kind| object["kind"] == kind.name()).expect("a kind of ours");
        let uri = format!("/apis/identity.timbr.ai/v1alpha1/namespaces/{}/{}", lab.namespace, kind.plural());
        let request = http::Request::post(uri).header("Content-Type", "application/json");
        let request = request.body(object.to_string().into_bytes()).expect("a request");
        match plane.admin().request_text(request).await {
            Ok(_) => None,
            Err(kube::Error::Api(status)) => Some(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    };
    // The API server takes the rules for gone a moment after they are.
    testkit::eventually("the rules are gone", SOON, async || {
        let refused = create(0, &cases[0].object).await.unwrap_or_default();
        if refused.contains("denied the request") { Ok(()) } else { Err(refused) }
    })
    .await;
    for (i, case) in cases.iter().enumerate() {
        let refused = create(i, &case.object).await.unwrap_or_else(|| panic!("{} was let pass", case.name));
        let line = format!("\n  {}: {}: ", case.path, case.code);
        assert!(refused.contains("denied the request") && refused.contains(&line), "{}: {refused}", case.name);
    }
    plane.kubectl(&["delete", "validatingwebhookconfiguration", &lab.namespace], None).await.ok();
    testkit::eventually("nobody is asked any more", SOON, async || {
        create(0, &cases[0].object).await.map_or(Ok(()), Err)
    })
    .await;
    let kind = |case: &bad_input::Case| case.object["kind"].as_str().expect("a kind").to_owned();
    let is_installation = |case: &bad_input::Case| kind(case) == Kind::TimbrInstallation.name();
    let mut unreadable = 0;
    // Of several TimbrInstallations nobody knows which one the others belong to: they come when those are gone.
    for installations in [false, true] {
        let round = || cases.iter().enumerate().filter(|(_, case)| is_installation(case) == installations);
        for (i, case) in round().filter(|(i, _)| *i > 0) {
            assert_eq!(create(i, &case.object).await, None, "{}", case.name);
        }
        for (i, case) in round() {
            let what = format!("{}/case-{i}", kind(case));
            unreadable += testkit::eventually(&case.name, SOON, async || {
                let status = lab.get(&what).await["status"].clone();
                let problems = || status["problems"].as_array().into_iter().flatten();
                if problems().any(|it| it["path"] == case.path.as_str() && it["code"] == case.code) {
                    return Ok(0);
                }
                // A word that the type has no place for is not decoded at all.
                let is_unreadable = problems().any(|it| it["code"] == "DecodeFailed");
                if is_unreadable { Ok(1) } else { Err(status.to_string()) }
            })
            .await;
        }
        for kind in Kind::ALL.iter().map(|kind| kind.plural()) {
            lab.kubectl(&["delete", kind, "--all"]).await;
        }
    }
    println!(
        "{} cases, each refused by the webhook and told by the status, {unreadable} of them as unreadable",
        cases.len()
    );
}
