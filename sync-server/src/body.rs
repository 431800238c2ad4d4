//! Request bodies: read within a bound, and refused with a problem that names the field.

use crate::error::Error;
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use futures_util::StreamExt as _;
use http::header::CONTENT_TYPE;
use protocol::{Code, Problem, limits};
use serde::de::DeserializeOwned;

/// How much of a body that is too large is read and thrown away.
const READ_ON: usize = 4 * 1024 * 1024;

/// A JSON body of at most `LIMIT` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Json<T, const LIMIT: usize = { limits::BODY_BYTES }>(pub T);

/// A form's fields (`application/x-www-form-urlencoded`), at most `LIMIT` bytes.
#[derive(Clone, Copy, Debug)]
pub struct Form<T, const LIMIT: usize = { limits::BODY_BYTES }>(pub T);

/// A form as it came, at most `LIMIT` bytes: for whoever reads more than one thing out of it.
#[derive(Clone, Debug)]
pub struct Filled<const LIMIT: usize>(Bytes);

/// A body of whatever kind, at most `LIMIT` bytes.
#[derive(Clone, Debug)]
pub struct Raw<const LIMIT: usize>(pub Bytes);

impl<S: Sync, const LIMIT: usize> FromRequest<S> for Raw<LIMIT> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        Ok(Self(read(request, LIMIT).await?))
    }
}

impl<S: Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for Json<T, LIMIT> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        must_be(&request, "application/json")?;
        let bytes = read(request, LIMIT).await?;
        Ok(Self(parse_json(&bytes)?))
    }
}

impl<S: Sync, T: DeserializeOwned, const LIMIT: usize> FromRequest<S> for Form<T, LIMIT> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &S) -> Result<Self, Error> {
        let filled = Filled::<LIMIT>::from_request(request, state).await?;
        Ok(Self(filled.read()?))
    }
}

impl<S: Sync, const LIMIT: usize> FromRequest<S> for Filled<LIMIT> {
    type Rejection = Error;

    async fn from_request(request: Request, _: &S) -> Result<Self, Error> {
        must_be(&request, "application/x-www-form-urlencoded")?;
        Ok(Self(read(request, LIMIT).await?))
    }
}

impl<const LIMIT: usize> Filled<LIMIT> {
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        let fields = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(&self.0));
        serde_path_to_error::deserialize(fields)
            .map_err(|error| refusal(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// Requiring the type keeps a foreign page from sending JSON as `text/plain`, which browsers allow without asking.
fn must_be(request: &Request, wanted: &str) -> Result<(), Problem> {
    let is_wanted = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted));
    if is_wanted {
        return Ok(());
    }
    Err(Problem::new(Code::UnsupportedMediaType).detail(format!("This address takes {wanted}.")))
}

/// Reads on past the limit for a while, keeping nothing: a client that is still writing when the answer comes would see a
/// broken connection instead of it.
async fn read(request: Request, limit: usize) -> Result<Bytes, Problem> {
    let mut body = request.into_body().into_data_stream();
    let (mut whole, mut read) = (Vec::new(), 0);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(|error| {
            Problem::new(Code::BadRequest)
                .detail(format!("The request ended before its body was whole: {error}."))
        })?;
        read += chunk.len();
        if read <= limit {
            whole.extend_from_slice(&chunk);
        }
        if read > limit + READ_ON {
            break;
        }
    }
    if read > limit {
        return Err(Problem::new(Code::TooLarge)
            .detail(format!("Please send at most {limit} bytes."))
            .limit(limit as u64));
    }
    Ok(whole.into())
}

fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let inner = error.inner();
        if inner.is_data() {
            refusal(&error.path().to_string(), &inner.to_string())
        } else {
            Problem::new(Code::BadRequest).detail(format!("This is not JSON: {inner}."))
        }
    })?;
    json.end()
        .map_err(|error| Problem::new(Code::BadRequest).detail(format!("This is not JSON: {error}.")))?;
    Ok(value)
}

/// A field's own refusal (a parse error that begins with a problem's code) keeps its code; any other is a bad request.
fn refusal(path: &str, message: &str) -> Problem {
    let own = message
        .split_once(": ")
        .and_then(|(code, _)| serde_json::from_value::<Code>(code.into()).ok());
    let missing = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next());
    let field = match (path, missing) {
        (".", Some(name)) => name.to_owned(),
        (path, Some(name)) => format!("{path}.{name}"),
        (path, None) => path.to_owned(),
    };
    let problem = match own {
        Some(code) => Problem::new(code),
        None if missing.is_some() => {
            Problem::new(Code::BadRequest).detail(format!("The field {field} is missing."))
        }
        None => {
            Problem::new(Code::BadRequest).detail(format!("The field {field} cannot be read: {message}."))
        }
    };
    problem.field(&field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::auth::{SignIn, SignUp};

    #[test]
    fn a_refused_body_names_its_field() {
        let problem = parse_json::<SignIn>(br#"{"email":"no","password":"x"}"#).unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            (Code::InvalidEmail, Some("email"))
        );
        let problem = parse_json::<SignUp>(br#"{"email":"a@b.cd"}"#).unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            (Code::BadRequest, Some("password"))
        );
        let problem = parse_json::<SignUp>(br#"{"email":5}"#).unwrap_err();
        assert_eq!(
            (problem.code, problem.field.as_deref()),
            (Code::BadRequest, Some("email"))
        );
        assert_eq!(parse_json::<SignUp>(b"{").unwrap_err().code, Code::BadRequest);
        assert_eq!(
            parse_json::<SignUp>(br#"{"email":"a@b.cd","password":"x"} x"#)
                .unwrap_err()
                .code,
            Code::BadRequest
        );
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_as_too_large() {
        let request = Request::builder()
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(axum::body::Body::from(vec![b' '; limits::BODY_BYTES + 1]))
            .unwrap();
        let error = Json::<SignIn>::from_request(request, &()).await.unwrap_err();
        assert_eq!(error.into_problem().code, Code::TooLarge);
    }

    #[tokio::test]
    async fn json_in_the_clothes_of_text_is_refused() {
        let request = Request::builder()
            .header(CONTENT_TYPE, "text/plain")
            .body(axum::body::Body::from("{}"))
            .unwrap();
        let error = Json::<SignIn>::from_request(request, &()).await.unwrap_err();
        assert_eq!(error.into_problem().code, Code::UnsupportedMediaType);
    }
}
