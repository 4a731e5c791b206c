//! Objects that the API server would refuse, past it: the engine refuses them too, as they may have been
//! stored under an older schema, and what is refused reaches no Deployment.

use serde_json::Value as Json;
use timbr_identity::{
    api::{Kind, Object, Resource},
    compose::Lookup,
};

use crate::{
    bad_input::{cases, valid},
    fixtures::{at, meta, secret, verdict},
    kinds::world,
    world::World,
};

/// A world in which this object is all there is of ours.
fn world_of(object: &Json) -> World {
    let kind = Kind::ALL.iter().copied().find(|kind| object["kind"] == kind.name()).expect("a kind of ours");
    let name = object["metadata"]["name"].as_str().expect("a name");
    let mut world = world(vec![]);
    world.secrets.insert("entra".to_owned(), Lookup::Found(secret(&[("client-secret", "x"), ("client-id", "y")])));
    match Object::read(kind, &Default::default(), object) {
        Object::Resource(resource) => {
            world.resources.push(Resource { meta: meta(kind, name), ..resource });
        }
        Object::Installation(installation) => {
            world.installations.push(Resource { meta: meta(kind, name), ..installation });
        }
    }
    world
}

/// What is told of the one object in a world, and whether it is accepted.
fn told(object: &Json) -> (Vec<(String, String)>, String, String) {
    let mut world = world_of(object);
    let looks = world.look(at(0));
    let status = looks.iter().flat_map(|look| &look.statuses).next().expect("a status").status.common();
    let told = status.problems.iter().map(|problem| (problem.path.clone(), problem.code.clone())).collect();
    let messages: Vec<&str> = status.problems.iter().map(|problem| problem.message.as_str()).collect();
    (told, messages.join("\n"), verdict(status, "Accepted"))
}

#[test]
fn what_the_api_server_refuses_the_engine_refuses() {
    let mut by_code = 0;
    for case in cases() {
        let (told, messages, accepted) = told(&case.object);
        // Decoding knows the shape; what is too long, twice or unheard of does no harm past the schema.
        let is_unreadable = told.first().is_some_and(|(path, code)| path == "spec" && code == "DecodeFailed");
        // What passes the schema is well-formed.
        assert!(!(case.past_the_schema && is_unreadable), "{}", case.name);
        match case.code {
            "FieldUnknown" | "FieldDuplicate" | "FieldLimit" if !is_unreadable => continue,
            _ if is_unreadable => {
                // The path, or the mapping in which the field is missing.
                let field = case.path.rsplit(['.']).next().unwrap_or_default().split('[').next().unwrap_or_default();
                // Of a principal's fields, which are flattened, decoding knows no path.
                assert!(messages.contains(field) || messages.contains("(spec: expected"), "{}: {messages}", case.name);
            }
            code => {
                by_code += 1;
                let wanted = (case.path.clone(), code.to_owned());
                let rest: Vec<_> =
                    told.iter().filter(|told| **told != wanted && told.1 != "InstallationNotFound").collect();
                assert!(told.contains(&wanted) && rest.is_empty(), "{}: {told:?}", case.name);
            }
        }
        let refused = ["False/InvalidSpec", "False/InstallationNotFound"].contains(&accepted.as_str());
        assert!(refused, "{}: {accepted} {told:?}", case.name);
    }
    println!("{by_code} of {} told with path and code", cases().len());
    assert!(by_code > 200, "{by_code}");
    for object in valid() {
        let (told, _, accepted) = told(&object);
        assert_eq!(accepted, "True/Accepted", "{object}: {told:?}");
    }
}
