llm_decode = llm_prefill = None
