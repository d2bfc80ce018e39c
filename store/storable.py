"""Text as Arrow and Parquet can hold it; apart from them, which take long to load."""


def storable_text(text: str) -> str:
    """`text` with lone surrogates replaced by U+FFFD: Arrow strings are UTF-8, which has no surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
