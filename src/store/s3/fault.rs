//! What went wrong at the server, as far as a caller acts on it.

use std::time::Duration;

use minio::s3::error::{Error as MinioError, NetworkError, S3ServerError, ValidationErr};
use minio::s3::minio_error_response::MinioErrorCode;

use crate::error::Error;

/// A failed call.
#[derive(Debug)]
pub(super) enum Fault {
    /// The object is not there (some servers say so of the bucket too, when asked for an object's head).
    NoObject,
    /// The bucket is not there.
    NoBucket,
    /// `If-None-Match: *` did its work, or the bucket to be created is there.
    Exists,
    /// The server does not know something that we asked for.
    NotImplemented,
    /// Its answer could not be read.
    Garbled(Error),
    /// The store cannot be used now.
    Unusable(Error),
}

impl Fault {
    /// For calls in which none of the others is expected.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::Garbled(error) | Self::Unusable(error) => error,
            Self::NoBucket => unusable("its bucket is gone; it is created again at the next try"),
            Self::NoObject => unusable("it answered that something is missing which should be there"),
            Self::Exists => unusable("it answered that a condition does not hold where none was set"),
            Self::NotImplemented => {
                unusable("its server does not implement what is needed; use another server")
            }
        }
    }

    /// An answer that is not what the protocol says.
    pub(super) fn garbled(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        let public = unusable("its answer cannot be read; check that the endpoint is an S3 server");
        Self::Garbled(public.with_source(error))
    }

    /// The server said nothing for so long.
    pub(super) fn silence(limit: Duration) -> Self {
        Self::Unusable(Error::unavailable(format!(
            "the template store cannot be reached: no answer within {} s; check that its S3 server is up",
            limit.as_secs()
        )))
    }
}

fn unusable(reason: &str) -> Error {
    Error::unavailable(format!("the template store cannot be used: {reason}"))
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        ValidationErr::from(error).into()
    }
}

impl From<ValidationErr> for Fault {
    fn from(error: ValidationErr) -> Self {
        MinioError::from(error).into()
    }
}

impl From<MinioError> for Fault {
    fn from(error: MinioError) -> Self {
        let public = match &error {
            MinioError::S3Server(S3ServerError::S3Error(answer)) => match from_code(&answer.code()) {
                Ok(fault) => return fault,
                Err(public) => public,
            },
            MinioError::S3Server(
                S3ServerError::InvalidServerResponse { http_status_code: status, .. }
                | S3ServerError::HttpError(status, _),
            )
            | MinioError::Network(NetworkError::ServerError(status)) => match from_status(*status) {
                Ok(fault) => return fault,
                Err(public) => public,
            },
            MinioError::Network(NetworkError::ReqwestError(_))
            | MinioError::Validation(ValidationErr::HttpError(_)) => Error::unavailable(
                "the template store cannot be reached; check that its S3 server is up and its endpoint right",
            ),
            // The text of a refusal that is no XML although it says so.
            MinioError::Validation(ValidationErr::XmlParseError(_) | ValidationErr::XmlError { .. }) => {
                return Self::garbled(error);
            }
            _ => unusable("a request failed; the cause is in the log"),
        };
        Self::Unusable(public.with_source(error))
    }
}

/// By the code in the answer's text, or the one that the client made of a bare status.
fn from_code(code: &MinioErrorCode) -> Result<Fault, Error> {
    Err(match code {
        MinioErrorCode::NoSuchKey | MinioErrorCode::ResourceNotFound => return Ok(Fault::NoObject),
        MinioErrorCode::NoSuchBucket => return Ok(Fault::NoBucket),
        MinioErrorCode::BucketAlreadyOwnedByYou => return Ok(Fault::Exists),
        MinioErrorCode::AccessDenied => refused(),
        MinioErrorCode::PermanentRedirect | MinioErrorCode::Redirect => wrong_region(),
        MinioErrorCode::BadRequest => {
            unusable("it did not understand a request; check AWS_REGION and the endpoint")
        }
        // The client keeps codes that it does not know in small letters.
        MinioErrorCode::OtherError(code) => match code.as_str() {
            "preconditionfailed" | "conditionalrequestconflict" | "bucketalreadyexists" => {
                return Ok(Fault::Exists);
            }
            "notimplemented" => return Ok(Fault::NotImplemented),
            "invalidaccesskeyid"
            | "signaturedoesnotmatch"
            | "invalidtoken"
            | "expiredtoken"
            | "allaccessdisabled"
            | "invalidtokenid" => refused(),
            "authorizationheadermalformed" | "illegallocationconstraintexception" | "invalidregion" => {
                wrong_region()
            }
            "requesttimetooskewed" => {
                unusable("the clocks of this machine and of the S3 server differ; set them")
            }
            "slowdown" | "serviceunavailable" | "requesttimeout" => {
                unusable("it is overloaded; try again later")
            }
            "xminiostoragefull" | "quotaexceeded" | "xminioadminbucketquotaexceeded" => {
                unusable("its disk is full; free some space and try again")
            }
            _ => unusable("it reports an error, which is in the log"),
        },
        _ => unusable("it reports an error, which is in the log"),
    })
}

/// By the status alone, of answers without a text that we read.
fn from_status(status: u16) -> Result<Fault, Error> {
    Err(match status {
        404 => return Ok(Fault::NoObject),
        409 | 412 => return Ok(Fault::Exists),
        501 => return Ok(Fault::NotImplemented),
        401 | 403 => refused(),
        301 | 307 => wrong_region(),
        429 | 503 => unusable("it is overloaded; try again later"),
        _ => unusable("it reports an error, which is in the log; check that the endpoint is an S3 server"),
    })
}

fn refused() -> Error {
    unusable(
        "its S3 server refuses our credentials, or they have no right to the bucket; check AWS_ACCESS_KEY_ID and \
         AWS_SECRET_ACCESS_KEY (or MINIO_ACCESS_KEY and MINIO_SECRET_KEY)",
    )
}

fn wrong_region() -> Error {
    unusable("the bucket is in another region; set AWS_REGION to it")
}
