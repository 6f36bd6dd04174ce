"""The rules, pure: jobs and their lifecycle, money, policy facts and decisions, fair share, forecast, words.

Nothing here does I/O. It imports the standard library and pydantic only, so that service, runner and notebook share it.
"""
