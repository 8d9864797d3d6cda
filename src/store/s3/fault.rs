//! What went wrong at the server, as far as a caller acts on it.

use std::time::Duration;

use minio::s3::error::{Error as MinioError, NetworkError, S3ServerError, ValidationErr};
use minio::s3::minio_error_response::MinioErrorCode;

use crate::error::Error;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failed call.
#[derive(Debug)]
pub(in crate::store) enum Fault {
    /// The object is not there (some servers say so of the bucket too, when asked for an object's head).
    NoObject,
    /// The bucket is not there.
    NoBucket,
    /// `If-None-Match: *` did its work, or the bucket to be created is there.
    Exists,
    /// The server does not know something that we asked for.
    NotImplemented,
    /// Our credentials are not good, or not for this.
    Refused(Cause),
    /// The bucket is in another region than we said.
    WrongRegion(Cause),
    /// Its answer could not be read.
    Garbled(Cause),
    /// There is no connection.
    Unreachable(Cause),
    /// There was no answer for so long.
    Silent(Duration),
    /// The store cannot be used now, for this reason.
    Unusable(&'static str, Cause),
}

impl Fault {
    /// For calls of the template store in which none of the others is expected.
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::NoBucket => unusable("its bucket is gone; it is created again at the next try"),
            Self::NoObject => unusable("it answered that something is missing which should be there"),
            Self::Exists => unusable("it answered that a condition does not hold where none was set"),
            Self::NotImplemented => {
                unusable("its server does not implement what is needed; use another server")
            }
            Self::Refused(cause) => unusable(
                "its S3 server refuses our credentials, or they have no right to the bucket; check AWS_ACCESS_KEY_ID \
                 and AWS_SECRET_ACCESS_KEY (or MINIO_ACCESS_KEY and MINIO_SECRET_KEY)",
            )
            .with_source(cause),
            Self::WrongRegion(cause) => {
                unusable("the bucket is in another region; set AWS_REGION to it").with_source(cause)
            }
            Self::Garbled(cause) => {
                unusable("its answer cannot be read; check that the endpoint is an S3 server")
                    .with_source(cause)
            }
            Self::Unreachable(cause) => Error::unavailable(
                "the template store cannot be reached; check that its S3 server is up and its endpoint right",
            )
            .with_source(cause),
            Self::Silent(limit) => Error::unavailable(format!(
                "the template store cannot be reached: no answer within {} s; check that its S3 server is up",
                limit.as_secs()
            )),
            Self::Unusable(reason, cause) => unusable(reason).with_source(cause),
        }
    }

    /// An answer that is not what the protocol says.
    pub(super) fn garbled(error: impl Into<Cause>) -> Self {
        Self::Garbled(error.into())
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
        match &error {
            MinioError::S3Server(S3ServerError::S3Error(answer)) => from_code(&answer.code(), error),
            MinioError::S3Server(
                S3ServerError::InvalidServerResponse { http_status_code: status, .. }
                | S3ServerError::HttpError(status, _),
            )
            | MinioError::Network(NetworkError::ServerError(status)) => from_status(*status, error),
            MinioError::Network(NetworkError::ReqwestError(_))
            | MinioError::Validation(ValidationErr::HttpError(_)) => Self::Unreachable(error.into()),
            // The text of a refusal that is no XML although it says so.
            MinioError::Validation(ValidationErr::XmlParseError(_) | ValidationErr::XmlError { .. }) => {
                Self::garbled(error)
            }
            _ => Self::Unusable("a request failed; the cause is in the log", error.into()),
        }
    }
}

/// By the code in the answer's text, or the one that the client made of a bare status.
fn from_code(code: &MinioErrorCode, error: MinioError) -> Fault {
    const OTHER: &str = "it reports an error, which is in the log";
    let reason = match code {
        MinioErrorCode::NoSuchKey | MinioErrorCode::ResourceNotFound => return Fault::NoObject,
        MinioErrorCode::NoSuchBucket => return Fault::NoBucket,
        MinioErrorCode::BucketAlreadyOwnedByYou => return Fault::Exists,
        MinioErrorCode::AccessDenied => return Fault::Refused(error.into()),
        MinioErrorCode::PermanentRedirect | MinioErrorCode::Redirect => {
            return Fault::WrongRegion(error.into());
        }
        MinioErrorCode::BadRequest => "it did not understand a request; check AWS_REGION and the endpoint",
        // The client keeps codes that it does not know in small letters.
        MinioErrorCode::OtherError(code) => match code.as_str() {
            "preconditionfailed" | "conditionalrequestconflict" | "bucketalreadyexists" => {
                return Fault::Exists;
            }
            "notimplemented" => return Fault::NotImplemented,
            "invalidaccesskeyid"
            | "signaturedoesnotmatch"
            | "invalidtoken"
            | "expiredtoken"
            | "allaccessdisabled"
            | "invalidtokenid" => return Fault::Refused(error.into()),
            "authorizationheadermalformed" | "illegallocationconstraintexception" | "invalidregion" => {
                return Fault::WrongRegion(error.into());
            }
            "requesttimetooskewed" => "the clocks of this machine and of the S3 server differ; set them",
            "slowdown" | "serviceunavailable" | "requesttimeout" => "it is overloaded; try again later",
            "xminiostoragefull" | "quotaexceeded" | "xminioadminbucketquotaexceeded" => {
                "its disk is full; free some space and try again"
            }
            _ => OTHER,
        },
        _ => OTHER,
    };
    Fault::Unusable(reason, error.into())
}

/// By the status alone, of answers without a text that we read.
fn from_status(status: u16, error: MinioError) -> Fault {
    let reason = match status {
        404 => return Fault::NoObject,
        409 | 412 => return Fault::Exists,
        501 => return Fault::NotImplemented,
        401 | 403 => return Fault::Refused(error.into()),
        301 | 307 => return Fault::WrongRegion(error.into()),
        429 | 503 => "it is overloaded; try again later",
        _ => "it reports an error, which is in the log; check that the endpoint is an S3 server",
    };
    Fault::Unusable(reason, error.into())
}
