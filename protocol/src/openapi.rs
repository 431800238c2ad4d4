//! The values that are structs here and plain strings on the wire, described as strings in the OpenAPI document.

use crate::run::At;
use crate::sync::{Cursor, SessionsBefore};
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::openapi::{RefOr, schema::SchemaType};
use utoipa::{PartialSchema, ToSchema};

macro_rules! string {
    ($ty:ty, $example:literal) => {
        impl PartialSchema for $ty {
            fn schema() -> RefOr<Schema> {
                let object = ObjectBuilder::new()
                    .schema_type(SchemaType::Type(Type::String))
                    .examples([$example]);
                RefOr::T(Schema::Object(object.build()))
            }
        }
        impl ToSchema for $ty {}
    };
}

string!(At, "1-118");
string!(Cursor, "MXwwMThmMDAwMC0wMDAwLTcwMDAtODAwMC0wMDAwMDAwMDAwMDF8NDE");
string!(
    SessionsBefore,
    "1790000000000000~018f0000-0000-7000-8000-000000000001"
);
