"""The eBPF programs of ``launches_probes.c``, made by ``launches_build.py``: do not edit."""

from __future__ import annotations

from typing import Final

__all__ = ["PACKED", "SOURCE_SHA256"]

SOURCE_SHA256: Final = "0f4fdeb0cb0bce4f20fabf22136cfac39a6e1f07cad132e6913eea3e3edf3d74"

PACKED: Final = {
    "x86_64": (
        "eNrtnMly2zgQQH9lSuc5YCG2+ZkpQCQdVzlWSnYOU6n8+4Cb2N2EIFLWZodKDoYaOxrdD01Cvzb+5dm/bf7569dmuyur+Mcm1Fwz8AmGcZg2"
        "gfuS1TVMby1JA/mhvOjSWnIfgNyq/o+qL28YzB7zMx+KTP7AfAnaD7UXDHW4q6rJ03y4xeOhn0P9fS6lxr+7L+L/AKp3zMZ/MG3Q/F2qP3Ko"
        "X3MF5Lqf36ERQ9Kx/yi/CRat11C/Kcf5DHg+Oel/m27WuPmEfjzDHITayFT/h0lpO+MS+iVH/bjmejbtyxqvp9yC+eSeQ31r+lPbhD4Dfa/J"
        "fqjIfqiIvDwx/9WM8dcf0GfukH5qUr+G9Ue5JHK5ZP5DrQWxJwXsz6F/fa6l9SX3azhuv9r13M6Y3+35+sXqRPu9vAykOtVupnx+bF84TAs1"
        "pG12PIHNXK9+fYUl60XGawUYr0/0X9xuPzMxf76DwfU5hdObv//afPc/OqfIWdH4xJfd23vzPW9TW//y8tYkhUTJQsK8ynUpX7ZCbVDSCJS0"
        "HBZ1bTP759enze/fMV29vlf7rJNOOUVotBqnYYjRQkYpyrUlclJeZ4zeKSN1zIhU85UyqYTDwi9bVLBs7fw+7f2Pb3h+E0ajnDHekl0OMkRN"
        "Nj34RKXnosysfwKiTjmxnJOi0EedVhyvyY3XBEOc5A2cnLmAkxshxyKj84hOz0J9tdd3coo4MYH1FTaoSsOvZ6Q7S/sc9n7/X2uXVbuHf+7f"
        "3lvrKguSdjjdWfXd6/t+99KmzcEat/bhxf983X5bdEpqDMZ2hsHYXtBgeJE3GB42n3AInhh8RRyCxw7DIIfhtNO4fluQ9gpSn0sZJJ6ev1he"
        "OjvdoOOpY+YppUifSozzHPZH9eXjN3WftjAtmhVj+NQA+0vL0/xR7jp5Vyae4gw5xaG0qI1Dw4v99cn26qE9lD+nX41AlBxpjFf9qZZ3M0bX"
        "RzVyntH/4RRqD/ldLn8g/W0NClBQUaPVz42n/d6XMYdA+W0uf6itywJVM9/EIQasvwbvf4OiFsmoRsahhprpOVGE8AH7UZTk1MuOn3obB46j"
        "PoZEfQzar+cAQkUAobwiIMT5xfsx6jM0kLE9S9qzc4Bhrj2P+nZhQLBi6XiTp2R+u1OyNMtOybKA9s9OAENC/xc0AViNAT4BwLkoZgqQIcCe"
        "Gv8kShT7Dwu0p/gw+otT+/2U/h3s0VxgPaF/lDfKYCy/sn1iMqsf2KI3wE/4R2J/IXLtq1Lwwdb35QX02BHAMU/VAuvP0L9+HKIUOufvoj4y"
        "VP/AJ4fx4e6WwSHAj/5SYLlAA4z+n2M5P/jiM6IgEgMz5yjUwQUlcN4hdgfOVVemp2r4lVKknCIkbiQtYyUpYgnMOwvSAN//jdXWz0+Ln3VQ"
        "r++JFYDUeBfq53nqdyiMoKHRPUrNzmJqHjQ1Gcv3+Vj+NedjaewvUo7wBaJmASm9oSBvcxSPd31b3/Z4fan8Lpm/HtqXUJ9ELQUpLwn1S0z9"
        "OH9cbw1PaXF+Zf4UEMvjUwBvF3s8BViij5xYOUtOAZacAgR59mPz1I/nL2PFe+oXnFA/z1M/PpVNw6h6pfxllO/yFORuTfmGUK8hlG9Ie+ay"
        "lG8uTPlGLB3v56Z8QyjffTLKN9emfHddyo8DuC/lmz+L8u09KZ8RymeKYr9C2C85xf6CT7F/ehJQJhmwH+o1agL95Fhg6bnB8SPQ/7R/Lh8+"
        "cG+2eYQ3HiEdDbxbEnjXZhnSTMa/BGnGwPjsQPZVA7l3QaxqPmJ99HW6FblW5FqRa0WuFbm+BHJNeYlNeYlTXupeaIB5ilORVMUxy2kCe5qw"
        "nkFI5hDpQcDavVaPz1cnQqS6/hA/rSGhPJ/YvP22X4pPFvuHR+AVD/XXXZ9P7EI+UTk+sVzKlU+2576puJhP7OPxifwgn9SPwyfD6/fjeCWj"
        "PHJHXqGYISYPaCV9QDt525KkJ6RC3tbU6Fmzccnnv7AHDj9o7mhl58vFb9Df+loZsosPcG0MvoF+iTfMP9M1KcphcT404YQvdW0qNd67X6Na"
        "GMeAd0QS+ZP7HeiT5mfbRYEuAvVx8eFyT8FwUqGkQkWVwq+ev/rv1cRwmdwBq984Vc6wxY1WnVq4Js+lDFuJHTTyqO392RlAsbg/cgSupYZv"
        "iw1x8h2ZZo7T91/th++/XnN9mvaDx+sDld0476D+0APu0gNhkw5EHojcE7knckfkjsgtkVsiN0RuiFwTuSZyReSKyAsiL4hcErkkckHkgsg5"
        "kXMiZ0TOiLwG69lfxULpCq+3xQFri/Rxak8cri8BBlUxyikoTK+GGQIG9M1w82j3p88KGMwHgdsGCB7i/rRe6Pjl8YAuvS/dvtPm2OGlxnvc"
        "V0Yo1vyeRJ0FE7w/j/gjRt7ZLEfwS/ujYbwP8HsMivACfKDqm4NRGMczI6Ax9K9AB2rS/uClkwGx1HzcUD8KGgAr0f5Nrj+4r9+334371Po3"
        "N5uwv+DIQDTyCvkLzJ+t3BK5xfKalOekfE3K4wAMsT+ELxP2CfVf9weD0gzzgecP6AvWj2Kcf2GOz//R8mqZvor+PsU5+srr++orV8cfGDb+"
        "HurX0HthL8O3cT5k0j/S+fuiv1cx1x4MDXx2e5DY/wzvf4YBR3XB8SMBTYMvsnD8gpvFv/4x/i4HuL0ySDU6yHNrUGaHqhIMSQVH3ZA44onq"
        "tTh64CRO2jHZxg/edy/l8p/3euzwwVk/t3V++EDfOHxgPnv4QK/hgz86fOBw+MCdCB/YNXywhg8eKHzg1vDBGj5Ywwdr+GANH6zhgzV8sIYP"
        "/tTwwe//AZNzNOE="
    ),
    "aarch64": (
        "eNrtXNty2zgM/ZWOn/eBF/G2P7NDWmKaGTfuOOlDp9N/X+pmARAtS7bjuKncPgQGSZEgCBwek/q18btn/7r598uvzXZfVumPTYhcM/AJhnEo"
        "m8B9yWKE8tYSGeiP9UUra8l9AHqruj+qrr5hsHgqz3woJsoH5kvw/BC9YKjDbVN1mfrDLR4P/Rzb70opNfzdfpH+B9C8Yzb9g7JB9rtVf2Tf"
        "vkbldWff/iGGyKn/XKH5s2i++vZNOdgzYHty0v9Grue4/oRuPL0NQjQy1//eKE1nXMa/5OAf7zmf9fNlxPMpt8Ce3HPob3V/os34M/D3SNZD"
        "RdZDRfTlGftXM8Yfr/Bn7pB/atK+hu0nvSR6ucT+IWpB4kkB+3PsX1dqaXvZ9RpOx69mPrcz7Lu93L9YzDy/05eBNKeaxTRdHscXDmWhetlO"
        "jiewmfPVza+wZL7IeK0A4/WZ/ov7rWcm5ts7GNyeU1je/PNl881/b5MiZ0WdE3f717f6e95IW7/bvdaikEgsJCyrXCv5slFqg0QjkGg5rOqa"
        "xxyeX542v38nuXp5qw6TSTqXFGHQokljFJRqvSV6Up9PBL1zQepUEKnmO2XWCfuJXzapYNoa+z4d/Pev2L6ZoFHOGG/JbgcyRCSLHnyS03NR"
        "Tsx/BkSdS2JTSYqCPpq00njN1HhNMCRJ3iHJmRskuQHkWBR0HjHpWeiv9v2TnCJJTGB/hQ9UpeHvF6TbSPscDv7ws4nLqlnDPw6vb010lQWR"
        "HZbbqL5/eTvsd41sjtG4iQ87/+Nl+3XRLqkOGNsZAWN7w4Dh5HTAcBzqtUAT1DtEbLFLHfCFRXoO9SIKHEBSe3KivVx5ni0f++dL5NA9Khl2"
        "OUgWUQrSvuS4/xK2nymP5jPVlafmou63KFN9MABfozDTKIvOHyyZLw7LH/XD+CxEXam8ILskO0KNYJFQ+6b+i4nupy2zQAtywv9467/cTgMO"
        "jXeNBicELQ3axWd3+RMJJkSm5+yqwxXrqSjJLpCd3gXWCQ2zIIawIAat/0zCdNMJ05GEPI/luDRhJvui+Ur2MNwjexvyPDMngc6NbyGaGydM"
        "I5aON7tr5PfbNUqzbNcoCxi/DEm4jsMIV69PDOg0BrQZQDjF6uUAIwR058Y/Yk1S/2GFZlcbhvxxbr2f8780PrcIwJ3xP5p/y5AG8M7xCWak"
        "jH/gDFEDYALI5Lz80PlPyg8Vqi9gBkiAFOcbmt/7/nXjEKXQJP8Rf9MMtd+zisfx4e6WwSLAm/KTwHqBBigicq9mPQl7KeBseQCAOLlov2mA"
        "YtWAyrT8Rl8VjNRTBHkqS+toS6oYAmatJLLFsrM5MPtfemh8flrM/HsSEzyJAc7inHlvDOz5GQwcMUYkmCLLdDuLme7eT7PMtp9mtt/THkuZ"
        "sIRxhAeYjGL2GgPB+T63B2ja255uL1feZcvH/vkS+hPF7LUe+t8sjG9XjL9i/BXjrxh/xfgrxl8x/orxT/7yxzCO5oywypwr9Nug5HRTUPDx"
        "DsCNvlImS1/37RpFa1iyabCKNOA46CkE/U+H5/LhaWyznYbwxiNIZ/CP49ryCVp3BqQZjX8JpFFdb44QtkuhgLY2mLY2lkA6Pg3p8KLmlkBG"
        "Uv5DIFY1H2Jde7hshVwr5Foh1wq5Vsj1KSDXGC+xMV7iFC/JEfdaqHM8K8dYThOwpwnWMwiSOYT0IMDav1SPj6/OUKQ6XoWfVkpoGp/Y6fht"
        "PxU+WZwfHgGveOi/7v3xiV2IT9QUPrFcyhWfbC89t7cYn9jHwyfySnwSHwef9IfRh/FKRvHIB+IVCjPaA+EQiUhJwQo9e0jkEVIhP/dqdMjc"
        "0KOPdoSXnEHftGhl78vF58nvfckKxcUHuEQFz2Pf4rz1n3RpiOKwZA9NcMKnukSUG++HXypayGPAGxOZ8tn1DvxJ84vjokDXYjpevL/q0p2B"
        "OYoKiQpVVQqfXXnx36pR4DJTG6xu4VRTgS0ttOrcxNVlbhXYSpygNSas8QbhZv2RA+BaGvi2OBBnz8jUNs7fBrVX3wZ9z/mpnx88nh/o7MZ5"
        "B/2HbnCXbghrORB9IHpP9J7oHdE7ordEb4neEL0hek30mugV0SuiL4i+IHpJ9JLoBdELoudEz4meET0j+gjms7uYhOQKz7fFhLVF/jiOJw63"
        "lwEGVTHoKVAYX5QyBBgYAgzMo90mvogwmA8E7ksQPMRtYr0w8cvThC69PdycaXPseKjxI27vIihWv10hTgITvD5P5CNGzmyWA/DL56N+vA/w"
        "dgJF8AL8QdXXG6MwjGcGodH3r0AbavL8PktnCbGcPe7oHwUlwEq0frPzD26vd89vx31u/lO+5zhfcBQgan2F8gXGn43eEr3F+kjqc1I/kvqY"
        "gCHxh+DLTHxC/dfdxqA0vT2w/YC/YP8oBvsLc9r+J+urZf4qumMcl/grjx/rr1yd/sGwzvfQv/reH/31Snyb7CGz+ZHa75O+vWFuPOgf8KfH"
        "g8z6Z3j9MwxwVEuOnyA0DTrRJjg+4GbxuzCGt1Q0x9jwaTiNNvLcGlTYoaYEQ1rBUTckZjxRuxazB05i0Q5iwx+87Xfl8pddPTZ9cNHLpy6n"
        "D/Sd6QPzp9MHeqUP/mr6wGH6wJ2hD+xKH6z0wQPRB26lD1b6YKUPVvpgpQ9W+mClD1b64G+lD37/D3Ek+/o="
    ),
}
"""Base64 of zlib of JSON by machine: of each program its instructions, and which of them name which map."""
