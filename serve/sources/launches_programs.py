"""The eBPF programs of ``launches_probes.c``, made by ``launches_build.py``: do not edit."""

from __future__ import annotations

from typing import Final

__all__ = ["PACKED", "SOURCE_SHA256"]

SOURCE_SHA256: Final = "a75ec3987e9f7321b0fcc7c36b339852076286b555b61b93a0d371d61f5476b7"

PACKED: Final = {
    "x86_64": (
        "eNrtXMly3DgM/ZWUz3PgIhHk/MwUqcVxlWOnbOeUyr8PqcUCILbUarfbbUedHAyBKwgCDxCp3zf+/s4/3/z77fdN9Vg38Y+b0Eoj0C+AkJiG"
        "IH1t25bQgtIV4r/WVz1ttPQB8W05/NEM9UHg4rG88KFaKB+Eb1D/ofVKkAH3TaUy6SctnQ//vbY/lCrL6e/+QfzvUPNO2PgP00Dkd67x6LF9"
        "I0vEN4N8x06A0XH8smjw+lmyXmP7UE/yrKg8JRt/R6c1Tr8wzGeUQWhB58Y/CqUbvMvol5704z3XM/Wva7qe2iN5Si+xvqXxtDl9RvresP3Q"
        "rMi3PWJ+rT1dX6Uj+mdY+wa3H/ma8fUW+YbWKGYvCjye1/ENpba2l92P4bB96tarOkK+1en6I9pM/wO/Dqy5VL5aKU/th8S0KkfaLs4nHKkv"
        "YVhfZdl6sflahebrM+NXl9uvQh0v7wC0PVdS+uafbzc//M/e6Umhks+7f3x+Sc9lkajK398/J1JpQhYaly2hp3zdMU1JSBCUdLiq6zp9unu4"
        "vfnzJ9LNw0vztOiEc04PG6XkFIAbJUH5xi4YrcRn9bcYqTcbkQNKOC78tkVFy9bJ9/bJ//xO5ZsxGgS0HJhvZc8HInTLNj36RaWX2EkdA5LW"
        "nFTLQNqS09oK8nJOrnlHJxdaQfZHlK+R4e1OD4EaIEboypxgbv7YKRoN7+8ENxhlrh+COVHOj/ODRfsX7ZVC9kzWsWeF9V0YzO/6Kw/zu/aI"
        "/IHIS7aELXwZe4saU9q+VwhAFiwjD3Oyk1Kdawm/np5fOmeiGd07rceHl6fH+44WjD85n84c3vtfD9X3TUFfZx+P2M/VGYMs75btowe6ftz/"
        "eeb/Sub/HPV/YKg+WOIPnXEFpWXB2xPE/iqyX5k+dOOzOMhQRL6xfe3s3D5NQdaBoEywoKzIB2HgvMTjLYf68Uk70A7TqsUhRR8kVQv1efnI"
        "tz2/r2MG+4qCVkKrFiyZXhqvzfXXjv2R8kv6lxiqpiXifnbdCGUvsTLRajkJ4on+eEfWc5DfaGNieyRJEEC4WZCAFE611h05n+65ryUZbyzv"
        "lsrP7amXnvn3sIAnuiROgcrnkjYLQTD3XweDGnEyPgDmH6Go8Po5uv9S0C8Wg35H198x/OQYfnIMPzmGnxzBTx29kjSo7bviKcvkZaUn6wOs"
        "PzgKTx2dRIAz4ydQW+ebTSrIyyUVtN+WVNDY/wXD9M1s0rec/nL9JvGDsxKPqEtShMn+r+3nNX3ZjL9X9IXjizqAlRe0P9w/JHsk9OJ6E3+R"
        "1lsSfAIS0zFesAyvUv85+N8RA0f/Z/CMAtD9MPcPIPGCZfA2zfrO8TbhZ8a/jrctxtsGpF2UH5F/HRyZYWjJ8nflcYfR/1rKt6Ds25JMEyCX"
        "AtgDCSQNpW1Hdji96UsUhj8qGeyHgpdwGnWDoP9/sVZ7d7v5tY9nGQGOGJylHvTiEUO5EjFoguCxAT2IqB17zTFqXfa1hl9+rfGe8tgakUfE"
        "o3xBELXCCD4hIm+XEL6Ss/aqw+3lyrts+XbsX2N9Uq1WrL72NALRNCKg5eN6G2wjo3z1coQQ69MIQXaLPUQIr4hw0kfJLCqNmOYRgWKvweYR"
        "AWCLROUnrVDLEYGSLCJYjCACi9jmGWfz9SIC/tpvOQKgHj0AQ0jAEBQwRAYMkQFDZHDtEYBl/dnzRgD2zBGA/XwRgNsYAZgtEcCyvuX0l+v3"
        "HgG8zd7siH9H/G9B/KrEdaDkfMsigoP4//bprr76/D+svB+FmqA7nr93LH9v4ILoZsqfH53vvki+d0dbO9ra0daOtna0taOtL4S2ZkhIF2vZ"
        "0pIhNCMZbSgNhpzgA9I+xlaPD831Q6uVRCnoj4NOnxCq7K+G91fD+6vhHapcDqq4vxyquOOhCj+KVwcFHJp8GHTpbxhgnFIwHDLDLexwZ8kO"
        "gxqSI7KzHJIrMsjl0debrx9c+s6datf35CXv1CmzIJ8Tjudf3R0yQ+T99e6Q2WVMfk3H57eFQ4peYnLkJpKm15YKRciSVC0lPTj+4H80M0MB"
        "S8HNoMjNoiGxE//gxo5lzmVIakmCHyOJM6LO72zj0ZOz22poKroRs6dUkozzl3Ht2y/jvuP6pP4DAzeBBKfeYf3J5YXfkvdNdGD8wPie8T3j"
        "O8Z3jG8Z3zI+MD4wvmF8w/gl45eMXzB+wfia8TXjK8ZXjC8ZXzK+YHzB+C3SryHv2czA6GuwZYk+zu2Jo+1lHHFTTXzumNfeM1zBZe6Tgu3m"
        "SoPtq7jMbbYF1zhYq5PxWri83Z0ac+I1ufwRl6cJFEofr1i4dzfoc7PmbyS7Z1RPwCvvb8b5XsHHH0qGB/DHMdIJUh2m+RyRXBjHN54KzM5/"
        "9MLZ4D8njwvqR8GTRzXZv9n1Rx8P6Nd/OE25tv7pnhH1BzS4TvyG+APJz9FLrJ/AgveOz+pLVp/6H0mTBy2zPww/ZuwTGX9XPgq0hlEeVH5I"
        "X6h+FCjQhcPyP1i/3KavashxnKKvsv1YfSUAOtEKr4cgeGMcvbLnwa9RHjrrH7n8vujHM461B2MHn90eZPa/oPtfUIBT9onqxfeU45kv6egR"
        "MEM/RTJ9JCSRJfn4iDQkUJe2JIUdaUoJwlWSDEOThoG0azXJDjhJSTORXX7g5fG+3nyp5MrTA6d92+vk9IC5cHoAPnt6wOzpgb86PeBoesCt"
        "pAfsnh7Y0wMXTA+4PT2wpwf29MCeHtjTA3t6YE8P7OmBvzU98Od/tvZEIA=="
    ),
    "aarch64": (
        "eNrtXNty2zgM/ZWOn/eBIMXb/swOqUuaGTfpJOlTp/++1M0GYFqyHNtxGrl9CAyKFwAEDmBSvzdh+xheN/9++70pn6s6/bGJDRiBPtEKwLSN"
        "ECrXNIQWlC4Rf/e87GmjIETEd3r4ox6etwI3T+1FiOVE+yhCjcaPTZCCTLjvqm3TfsDR9fDPrv+hldb7v/sv0n+PuvfCpX+YtkR+l5qPGvs3"
        "pL0Z5DsOYhmd5g9FjfXniL7G/m21l2dJ5Qls/h3d6rj9xGE9owxiY1Vu/qNQoKV9xr7U3j6uqc92fFVRfaqA5AkBsL2182ly9ozsvWb7oZ6R"
        "b3PC+hp3vr2CJ/ZnWP8G95/4ivHVEvnGxkjmLwo8n938hlZL+8vux3jcP3X6Kk+Qb3m+/YgmM/7AryLrrm1fzrSn/gMwLfVIu8n1xBPtJQ76"
        "lY7pi63XSbTekJm/vN1+FfJ0eUdL+/Oa0pt/vm1+hJ990AMh25i3fX59a7+HoqXKsN2+tqRUhCwUbqttT4WqYxpNSCso6fGjvhv05fHpYfPn"
        "T6Lrp7f6ZTII54Iedko8KHAn1PHdhNNKfGDPL3FS73YiR4xwVPwypSK1dfJ9eAk/v1P5ZpwGAS1H1lu6y4EI1bBNjz7J6AEHqVNA0lyQahhI"
        "mwpaS0FeLsjVVwxysRFkfyT5GojvD3oI1FjihO4sCObWj4OiUfb6QXCBU+b2IVgQ5fy0Pjvp/5K/ksifQZVGltjehcH8bjx9nN/1R+Rvibyg"
        "IWwRdBotWYx2/ag2WqKwjDzM2UFKdqEl/np5feuCiWJ0H7Sen95enrcdLRh/H3w6d7gNv57K74uSvs4/nrCfywsmWd5O+0css6Q/iSekR/tu"
        "eivj9qKH9Y182UjqL1N/aqK/XHvItm/G8RWOv2YEYfukjdCyUZL1r4DOX+H+M+2JPtOz6pgu2nnLKj0PxL6h24HQ+7FkD57pC3D7HX+/Po9B"
        "pm73iz/evtubSN9cvuCEnJi+CJUk+3/C/qC3X/DT+MqQIkVuP8QCxcNc0WIiCeT++yioF2fHR8vigy14kismk1xL8YNleMEyvGAZXrAML1iC"
        "Fzp6Jkmu3FXxg2PycRCIPhwbz52EH05Omt2F8YKTS9ebTaLhdkm08suSaGWwPRpmb2aRveXsl9s3wcvekfyoS8rjPh7M7d85e1mMN2fshcfT"
        "KloHN/Y3OOJk9EuKpq1+geAxC5hOeNgxPEZoO+zPEePJKuEZGp/cNJ60gBWUwZO0qnmIJwk/M/95POkwnjSWPH8oPyLvKnqywuQPgPKBAFrZ"
        "OEf5zkp3dhFFkCKKhI7sUGb92n/l+VeagVbteAtrKIx1DPZ6DHMRsP0v9do8Piz+USOwfDewfNc7Gi9vjYeDnsbD2MN0eJPu92wR37Mi/mhz"
        "2aJ9mC7aX1MeS/PNhG9kQPiM4/cW/2B9z+UDXX/l8f5y7X22fTOOr7A9cfze8rH9nYT33Yr3V7y/4v0V7694f8X7K95f8f7V8L6kSDxBB/YF"
        "WJIRqANwD4XhX0mNn7Ga8x3LGLw6gv8fXh6ru69u25lf/2xF0J2lRwSMh4lq77XRjR7Q3A7NDt4MVbMtrWZbz9AdTKO7hNYouvNT7Ve0taKt"
        "FW2taGtFWyva+gvR1gESUsVsNZUhNAOMZrXVvta6O59mSf8YWz0/1fcPrWYKpVZ9HHT6hFDFU6jimSv3zNV7Fjo8Cx2ehQ5/71DFsvHsZaGK"
        "vTBUsZ8PqoSFUMUugSrT9pazX27fK1S5MVTxXxyq+NOhyu72zU6e0nJo8mHQpT8/j3FKwXDIAW5hRxc1+83XkBqRO6gh+SKDXJ5Dtfhw/a1v"
        "lMlmfk/e8saYNBPyOePw+d3dkDJE3n/fDSk3jcnv6XD4snRI0is6ntyzUfRSTiEJqcmjGuix6Kfwoz5wFHYquRkMuZ50JG7PP7qxU5tLOZIK"
        "SPJjaJ2YBr+LzUftg91SR1PSjZg9pdLKOH/V1L3/qukV9dOOHxm4iSQ5DR7bT64u/J66b0tHxo+MHxg/ML5nfM/4jvEd41vGt4xvGN8wvmZ8"
        "zfgF4xeMrxhfMb5kfMn4wPjA+ILxBeM3yL6Gumd9AEZ3yZYj9njoTzztLxOI63LP54F57neGO7iqfFayXd9psn0XV5XNsuQaJ2tV67wmriZ3"
        "p8a82BWXP+JqMIFC7asZJm6VDfZcz8UbEPRUZLUHXvl4M673Dl5toBkewK9+aE+QqrhfzwnFhXF+46nA7PrHKJxN/nPyuKF9FLx4VJH9m9U/"
        "uhrf6384TTmn/xTPgcYDmly3/JrEA4ovWz62T8uS947Pngf2PI0/QIsHDfM/DD9m/BOZf9c+CbSyozyo/JC9UPsoUKJrj8v/6PN6mb3KocZx"
        "jr1C87H2CpoVwyTWhyB4Y5z9zl7fiV+TPFQ2PnL5/aWvhjjVH4wDfHZ/kNn/gu5/QQGO7gvVk79Tjme+wNMjYIa+aGP/CoyW1OTVGmBIog79"
        "zY9dY0+6koJwJZBpKNKxJf06RaoDHihp9mRXH3h73laLL5XceXngvDdXnV0eMDcuD9jPXh4wa3ngS5cHPC0P+JnygFvLA2t54IblAb+WB9by"
        "wFoeWMsDa3lgLQ+s5YG1PPBVywN//ger2P4b"
    ),
}
"""Base64 of zlib of JSON by machine: of each program its instructions, and which of them name which map."""
