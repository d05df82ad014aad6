"""The eBPF programs of ``launches_probes.c``, made by ``launches_build.py``: do not edit."""

from __future__ import annotations

from typing import Final

__all__ = ["PACKED", "SOURCE_SHA256"]

SOURCE_SHA256: Final = "531b1cc357954a13903d80984aae3d9eae8d5167046de559e0c266b3772d037a"

PACKED: Final = {
    "x86_64": (
        "eNrtXMlyGzkM/ZUpn+fApbnNz0yRvTiucuyU7BymUvn3IXtRAxBFqbVZdlrJwRC4giDwAJL69eCfn/zbwz9//XqoX5s2/vEQOq4Z+ATDOKRN"
        "4L6xXYdohuka8Lf1xUBryX0AfKvGP9qxvmGweCzPfKgL5QPzLeg/dF4wNOChqVQmfbjF86GfbftjKaXmv4cv4n8HmnfMxn+QNkh+lxqPnNrX"
        "XAG+HuU7dWIIHcfPqxaun0XrNbVvmlmeNZYnJ+Pv6bTG6RPG+UwyCJ2RufFPQukH7zL6JWf9uOZ6pv5lg9dTeiBP7jnUtzSeLqfPQN9bsh/a"
        "A/LtjphfZ0/XV+6Q/mnSvobtR74kfLlEvqHTgtiLCo5nO76x1NL2svsx7LdP/XrVR8i3Pl1/WJfpf+Q3gTSXytcHymP7wSEt1ETb4nzCkfoS"
        "xvUVlqwXma8VYL4+M35xu/3KxPHyDga35xSmH/7+6+G7/zE4Pc5E8nnPr2/v6XteJar2z89viRQSkZWEZZUZKN/0TK0QaRgmHazq+k43Ty+P"
        "D79/R7p9eW83RSecc3rQKCWnYKhRYpivbcFoJT6pv8RInW1E9ijhtPDLFhUsWy/fx43/8Q3LN2M0miPm21wQRIiObHrwiUrPRVNY/wxIOuik"
        "CEgrgTjqtOJ8TWm+JhikLz0os1d2cuZ8JzetZ5SXRUbnHp2ehfpqr+/kFHFiAusr7FA1hl/PSA/G8yls/Oa/3i73tjb83Ly999ZVVoR2mB6s"
        "+uvL++b1uafN1hr39uHZ/3ypvy2KgpLBqI8wGPUFDYYXZYPhYfcZh+CJwVfEIXjsMAxyGE47jdu3FemvIu25nEHiefnF+tLZ3Q06RxV7ohBG"
        "opAqH3UY5zkcjxrrx2+6kbaQFmnFGI4K4HhpfVo+8t3AH+rEKM2QKA3RojMOTS+O12f766b+UPmSfiWGaDjSGK/GqJUPEqProxKfF/R/ijLt"
        "trwrlQ9kvL1BAQoqOrT6pfn03/smlhCovC2VD511RUCV5E0cYsD6a/D+Nz5UoHwua1FwqKFj+pgsQTjDflQNiWrZ/qg2OXCcxTEoi9PTZwKE"
        "lgCE5ooAIcoX78eoz9BAxv4s6c8eAxjqo6Nie2GAYMXS+WajZH67KFmaZVGyrKD9szsAQ0L/FzQBsBoD+AwArsn+rtn+rA0NkA7NnwZMafyw"
        "Qh/Fh9lfHNrvh/Rva4+OBawH9I/ijSYYy69sn5gs6ge26AnwE/wjsb8Qpf5VIzhrUX0BPXYE4BhPdQLrzzS+cR6iEbrk76I+MtT+hE+288PD"
        "bYJDAD/6S4H5Ak0w+n+O+Xzri0/IgkgMmDlHqQ4uKALnA8QegHM71BlRNfxKKVJPESRuJK1jJaliCZh3FtAAvv8bm+2eHhefZVCv74kVgKjx"
        "Q1A/L6N+h9IIGhrdvajZkdz9pKnZXL0v5+qvKY+lub+IcoSvEGoWEKUnFORtCcXjXd+3V+9vL1feZct3U/8S6pPopCD1JUH9EqN+XD6ut4ZR"
        "WpSvLEcBsT6OAni/2HMUYIk+cmLlLIkCLIkCBDnbsWXUj+VXsOIj6hecoH5eRv04KttNo+oV5S9D+a6MgtytUb4hqNcQlG9If+ayKN9cGOUb"
        "sXS+nxvlG4Ly3SdD+ebaKN9dF+XHCXwsyjd/Fsq3H4nyGUH5TFHYrxDsl5zC/orvwv7dSGA8GqUJ+6ldo3ZAPwkLLI0bHN8D+h83T83dJ+5N"
        "XYbwxiNIRxPvliTetVkGaXbmvwTSzInxoxPZV03kfgjEao+HWNnrcoXrcdRFrZBrhVwr5Foh1wq5vgTk2sVLbBcvcYqXhgsNsEx1KJOqOMZy"
        "moA9TbCeQZDMIaQHAdbrS3v/+OpAilR3Z+GnNSVUxie2bL/tl8Ini/3DPeAVeL1duuvjE7sQn6gSPrFcyhWf1KfeVFyMT+z94RN5Jj7p7gef"
        "TNfv5/lKRvHIB+IVCjPEzgGtpAe0O7ctCb2DVMhtTY3Omo3Lnv/CETh80DyglVffLL5Bf+tnY/DG9z08CxO6IJ9Tbpjf2zMojeT99Z5B2TIO"
        "v/oN8avd+Bb4HY5Dj2kkfnlTCUQqVHUIi+ar3i/+e7tjKEwpoBkVuS0aEjvz927sWOZShqTBAQ/yYP171CMc+OLxyBngLDU0Nd6I2TspScb5"
        "96T2/PekV1yf1H8ggCUgQOsd1B8aUPYB2BkBWaID4QfC94TvCd8RviN8S/iW8A3hG8LXhK8JXxG+IvyK8CvCl4QvCV8QviB8Tvic8BnhM8Lv"
        "gH6NT6HgelucILZIH3fticPtZRxxW8986pj7m9aUvq/3yCcF4O2dHhDcxXtkvSzghgEYTZDS98f9HTHHtpcEP+L9L4JC6fcXuow/wPrcHvI3"
        "nLwcambglfc303zv4PcLFMED8IDSp4RKmOdzRIJgGl+FAlTS/+SFswmmnDxuqB8VTSg1aP9m1x+8fx/Wf7w7eWj900sh7A84MhCJ3yJ/gPFl"
        "4kP9NCTh0fNJfU7qY/8T+ShhQOwPwY8Z+4TG35ePAm3MJA8sP6AvWD8qEOia/fLfW18t01cxvk84RV9597H6ytX+A7jkz6F+TaMX9jL4NcpD"
        "Zv0jld8X/f2HY+3B1MFntweZ/c/w/mcY4Kgh2VxMEE43xLjDF8Y0/jWN+Xcu+mth+FGJRoE6H+58bQs71JRgiCvwRTWJM4io3fE9yZQdGA86"
        "t6SeyT4/8P763Cx+QnLn6YHTfp7q5PSAvnF6wHz29IBe0wN/dHrA4fSAO5AesGt6YE0P3DA94Nb0wJoeWNMDa3pgTQ+s6YE1PbCmB/7U9MDv"
        "/wGKyfuh"
    ),
    "aarch64": (
        "eNrtXNly2zoM/ZWOn+8DF4nL/Zk7pJY0M27ccdKHTqf/fkktFgDTtOQlcVO5fQgMkuICAgdHpH9t3PbZvW7+/fJrU+3qJvyx8S1XDHy8ZhzK"
        "2nNXm7ZFMsNyBfSH+qKXleTOA70phz+aob5msHgoz5yvMuU9cw14vm+dYKjDfVOxTPxwg8dDP4f2h1JlOf3dfxH+W9C8ZSb8g7JG83er/six"
        "fYXKq2F+x4doIof+86KB62fQeo3t63qazwrPJyf97+S4xvHjh/GMc+BbLVP9HyeFR9km7EtO9nHP9YzPlzVeT+nAfHLHob3F/rQpewb23pD9"
        "0JyZ33bG+Fpzub1yi+xPkfYVbD/oJdHLJfPrWyWIvyhgfw79G0otbS+5H/1p/9StVzVjfqvL7Ye1iecP+tqT5mL56kx57D84lEU5yiY7Hj/T"
        "XvywvsKQ9SLjNQKM1yX6L95vvzIxf769xu3ZEsubf75svrnvfdDjTMSYt929vsXveRGlym23r1EUEomFhGVL3Uuu7pSqRKJmWLSwqu0eun9+"
        "edr8/h3k5uWt2WeDcCroQadEgwJ1Qp3eZJxW0HNSf4mTutqJnDDCceGXLSpYtm5+n/bu+1c8vwmnUc8Yb31DECFasunBJxg9F3Vm/RMg6WyQ"
        "IiAtB+Jo0Arj1bnxaq+RvXSgzNw5yOnrg9y4nmG+DHI6jxj0DLRXc/8gV5IgJrC9wgeWteb3c9K983z2e7f/2fnlztf6H/vXt867yoLIFsu9"
        "V9+9vO13207WB2/c+Yet+/FSfV2UBUWHUc1wGNUNHYaVeYdhOdQrgRZoNIi2xy7R4QuD9BzqRSuwAwntyUx7qfI8Wb4dny+RQY+oZMpikCxa"
        "KUj7kuP+S9h+ojxaz1BXnlqL2G9Rh/pgAC6iMN0pi8EeDFkvDssf9NP4DERdobwgWZA5Qo1gk9D5Df0Xme4zVwu0ITP2x3v75SYPOBTK2kN/"
        "Nd4P2vkCBIBUFp8JML5lak7W7K/YT0VNsjx2OsuLAQ2zGhqxGp2cD5g2HzAtCcgMBeRbB8wwv2i9wnxo7tB8a/I8PSeAVrOzRH3jgKnF0vEm"
        "s0b+flmj1MuyRllA/6VJwLUceri4PzGgUxjQJgBhRQBgxU6zGDRhODd+mkDE/sMKXVbrp/hxbr+fs78wPrsIwJ2xPxp/ax8GcGf/BCNSwj5w"
        "hIgAmAAyOS8+DPYT4kOD6gsYAQIgxfGGxvexf8M4RC0UiX/E3hRD7Y+s4WF8uLu1NwjwhvgksF6gAYoWmVe3n4S5FHD2PABAnFz033RAselA"
        "Zdh+R18VjNQrCfIsDa2jDKmiCZg1ksgGy9akwOx/4aHt89NiZt8Rn+CID7AGx8z3xsCOn8HALcaIBFMkmWxLmOzRTpPMtcsz1/ecj6VMWMA4"
        "wgFMRjF7xEBwvc/lAF171en2UuVtsnw7Pl9Ce6KYPeqh/c3C+GbF+CvGXzH+ivFXjL9i/BXjrxj/5Js/hnE0Z4RV5rxE7wYlp0lBwY8zAHv0"
        "1fCikNLXY7u6pDUMSRpMSRqwHPQUgv6n/XP98DS2rvIQXjsE6TR+Oa4Mz9C6MyDN0fiXQJpy6M0Bwg4hFNDWGtPW2hBIx/OQDm9qbghkJOU/"
        "BGI18yFW8vBY5rAYDVEr5Foh1wq5Vsi1Qq5PAbmO8RI7xkuc4iV5xL0W5TmelWMspwjYUwTraQTJLEJ6EGDtXprHx1dnKFLVXoWfVkooj09M"
        "3n+bT4VPFseHR8Ar8LC3tPfHJ2YhPilz+MRwKVd8Ul16bm8xPjGPh0/klfikfRx8Mh5Gn8YrGcUjH4hXKMzoD4RDJCIlBSv07CGRj5AKed2r"
        "0CFzTY8+miO8ZDX6pkcrO1cvPk/+3peo4PnnR7gkJVRmfi45b/1ol4IUmu/PdynI5HH43c9L3+38s8C3Uiy6WiLxPZRCILFEVfu0aDor8uK+"
        "NUeOQucSmsGQm6wjMZP+5MYOZW7lSGqc8ChMEGNAfrP+yAngLHU0Fd6IyTMpcY7TtyvN9bcr77g+8fmeABaPAK2z0H5oQtklYFckZFH2RO+J"
        "3hG9I3pL9JboDdEbotdEr4leEb0i+pLoS6IviL4gekn0kugF0Qui50TPiZ4RPSP6FtjXcDEIrrfBBLFB9njsTyxuLxGIm2rS08Acn99Q+bFu"
        "516UgDcP+oLgIW7nqmUJN0zAKEFKb+N2Z8QsOxwS/IjbsAgKxV8jaBPxANtzcy7ecIbPQNYT8ErHm3G8D3CbvyR4AL6gdJFQ8dN4ZhAEY/8K"
        "lKCS549ROEkwpebjHe2joIRSjfZvcv3BbfB+/Yezk+fWP8RzjuMBRw4i6hsUDzC+jHpon5oQHp2e1OekPo4/QY8IA+J/CH5M+CfU/658mNBa"
        "j/OB5w/YC7aPAiS6+vT8n6xfLrNXMRyLuMReefux9srL0y/gYjyH9jX2/mCvV+LXMB8yGR/p/H3SX0OY6w/GB/zp/iCx/xne/wwDnLInm7ME"
        "4XhCjFt8YEzh35aYfvWhOxaGiD6uUKLO+zNfh8IWNSUY0gp8UE1iBhG1ayRiB4YXnQdRTWLHD7zttvXiKyQPTg9c9mNNF9MD6p3pAf2n0wNq"
        "pQf+anrAYnrAnqEHzEoPrPTAO9IDdqUHVnpgpQdWemClB1Z6YKUHVnrgb6UHfv8PELjCyQ=="
    ),
}
"""Base64 of zlib of JSON by machine: of each program its instructions, and which of them name which map."""
